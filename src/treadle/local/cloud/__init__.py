"""The local cloud: moto in a process of its own, behind our endpoint, whose acknowledged writes survive a kill.

Reading order: `operations` (which requests change something), `journal` (where those are kept), `sealed` (what makes a
repetition give the same), `server` and `process` (the child), `child` (our hold on it), `proxy` (the way to it).
"""
