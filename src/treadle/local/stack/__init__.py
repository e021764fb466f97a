"""A stack: the resources of a template as they exist on this machine, and how they become what the template says.

Reading order: `made` (what is known of a resource), `names`, `world` (what a provider may use), `rows` and `table`
(resources made by one call), `compute` (functions and state machines), `providers` (which provider makes which type),
`state` (what is remembered), `deploy` (from the template to the resources).
"""
