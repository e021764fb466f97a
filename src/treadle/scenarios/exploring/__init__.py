"""Scenarios that nobody had to write: every branch of a definition that can be reached with one failure.

Reading order: reads.py (what a state reads), origins.py (where that came from), data.py (inputs and answers),
choices.py (what a Choice could be told), failing.py (how a task could fail), search.py (runs and repairs), explore.py
(what is found), findings.py (what ends badly), report.py (for machines), writing.py (as a file). Data is found by
trying: a run that fails for want of data shows what is missing. Nothing is guaranteed to be found; what is found is a
run that happened.
"""

from treadle.scenarios.exploring.explore import Exploration, Explored, explore
from treadle.scenarios.exploring.writing import write_scenarios

__all__ = ["Exploration", "Explored", "explore", "write_scenarios"]
