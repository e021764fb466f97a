"""A template as text, and what it says once parameters, conditions and intrinsic functions are resolved.

Everything here reads files and computes; nothing is created. Reading order: `document` (text), `loops` and `includes`
(what stands for more text), `sam` (Serverless to CloudFormation), `parameters`, `resolve`, `order`, and `reading`,
which puts them together.
"""
