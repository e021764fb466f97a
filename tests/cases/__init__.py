"""Golden cases: a definition, its input, what the outside does, and the history that comes of it."""
