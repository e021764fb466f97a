# Everything a contributor or the continuous integration runs. Needs python3 (3.11 or newer) and make, nothing else.
# Each target makes .venv itself, from requirements/dev.lock, and again only after the lock or pyproject.toml changed.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
PEERS := .venv-bench/.installed
PYTEST := $(BIN)/python -m pytest
IN_PARALLEL := -n 2 --dist worksteal

# Pyright would ask the npm registry whether a newer version exists.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# The tests start treadle hundreds of times: its source is compiled once, whatever the machine says.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup check lint types test test-deep docs demo bench lock format

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## make .venv with everything needed

check: lint types test ## what continuous integration runs

lint: $(INSTALLED) ## style, format and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(INSTALLED) ## pyright, strict
	$(BIN)/pyright

test: $(INSTALLED) ## the test suite
	$(PYTEST) $(IN_PARALLEL)

test-deep: $(INSTALLED) ## the test suite with many more generated examples and crashes
	TREADLE_DEEP=1 $(PYTEST) $(IN_PARALLEL)

docs: $(INSTALLED) ## links in the documentation resolve and its code runs
	$(PYTEST) tests/docs

demo: $(INSTALLED) ## workflows in virtual time, one with real functions that is killed and goes on, an approval
	$(BIN)/python examples/virtual_time.py
	$(BIN)/python examples/demo.py
	$(BIN)/treadle demo approval
	@echo
	@echo "Where to look next: docs/start.md (first steps), src/treadle/solutions/approval/README.md (the approval),"
	@echo "examples/templates (ten templates for: treadle up TEMPLATE), docs/README.md (everything else)."

bench: $(INSTALLED) $(PEERS) ## how fast treadle is beside its peers, as one table
	$(BIN)/python benchmarks/run.py

format: $(INSTALLED) ## write the format that lint asks for
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The lock holds hashes alone: an index address or a local path would tie it to one machine.
# Pins stay where they are unless pyproject.toml moves them; `make lock UPGRADE=--upgrade` takes the newest.
lock: $(INSTALLED) ## write the lock files from pyproject.toml and requirements/bench.in
	CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet $(UPGRADE) --extra dev --build-deps-for editable \
	  --allow-unsafe --generate-hashes --strip-extras \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	  --output-file requirements/dev.lock pyproject.toml
	CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet $(UPGRADE) \
	  --allow-unsafe --generate-hashes --strip-extras \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	  --output-file requirements/bench.lock requirements/bench.in

# The build backend is in the lock too, so the second installation fetches nothing.
$(INSTALLED): requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("treadle needs Python 3.11 or newer: make PYTHON=python3.x") if sys.version_info < (3, 11) else 0'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.lock
	$(BIN)/python -m pip install --quiet --no-index --no-deps --no-build-isolation -e .
	@touch $@

# What treadle is measured beside has an environment of its own, so that nothing of it can creep into treadle's.
$(PEERS): requirements/bench.lock
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --require-hashes -r requirements/bench.lock
	@touch $@
