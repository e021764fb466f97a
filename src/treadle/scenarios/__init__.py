"""Scenarios: what a workflow is expected to do, written down in files and played in virtual time.

Reading order: document.py (a file and its places), answers.py (what tasks answer), scenario.py (the data), reading.py
and mock_config.py (from files), play.py (run and judge), trace.py and report.py (what people see), `exploring`
(scenarios that nobody had to write). Must never call anything outside: all answers are scripted, all time is virtual.
"""
