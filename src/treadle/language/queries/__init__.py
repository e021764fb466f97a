"""The two query languages, JSONPath and JSONata. Nothing outside `language` knows that there are two."""
