"""Applications that ship with treadle, each in a folder of its own.

A solution is written against the public API of AWS alone: it deploys to AWS unchanged, and no function of it imports
anything of treadle. Neighbours: `treadle.cli` has commands for them, `treadle.local` brings their templates to life.
"""
