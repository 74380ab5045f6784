# Two commands are enough: `make up` runs everything on this machine, `make test` tests it.
# Both make .venv themselves; `make up` needs Python (3.11 or newer, with venv) and make only.

PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest

.PHONY: up test soak bench lint clean

up: .venv/run
	$(BIN)/mchat up

test: .venv/dev
	$(PYTEST) -q -m "timed and not soak" $(ARGS) || [ $$? = 5 ] # ARGS may pick none of them
	$(PYTEST) -q -n 2 --dist worksteal -m "not timed and not soak" $(ARGS)

soak: .venv/dev
	$(PYTEST) -q -s -m soak tests/soak $(ARGS)

bench: .venv/dev
	$(BIN)/python -m tests.benchmarks

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PYTEST) -q tests/test_arrows.py

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/run: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/dev: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@ .venv/run
