# Two commands do all the set-up: `make demo` and `make test`.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell command -v python3.11 || command -v python3)
INSTALLED := $(VENV)/.installed
LINTERS := $(VENV)/.linters

.PHONY: help install demo test test-slow lint benchmarks clean

help:
	@echo "make demo        install, then run the whole pipeline on the built-in data set"
	@echo "make test        install, then run the tests (test-slow: the long ones too)"
	@echo "make lint        formatter, linter, types, import contracts, spelling"
	@echo "make benchmarks  measure every speed claim of docs/benchmarks.md"
	@echo "make clean       remove the environment and everything the pipeline has written; data/raw stays"

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt install.sh
	PYTHON="$(PYTHON)" VENV="$(VENV)" ./install.sh
	touch $@

$(LINTERS): $(INSTALLED)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[test,lint]'
	touch $@

demo: $(INSTALLED)
	$(BIN)/coldbrew demo

# Files stay whole: the tests of one file may build on each other. They start in the order of
# tests/conftest.py, not with the one of the most tests.
PYTEST := $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

test: $(INSTALLED)
	$(PYTEST)

test-slow: $(INSTALLED)
	$(PYTEST) -m "not gpu and not network"

lint: $(LINTERS)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

benchmarks: $(INSTALLED)
	$(BIN)/python -m benchmarks

# The folders of stages/folders.py. data/raw is yours: never touched.
WRITTEN := $(addprefix data/,examples inputs passages scores students targets teachers tokenizers)

clean:
	rm -rf $(VENV) .coldbrew reports build *.egg-info dvc.lock .dvc/cache .dvc/tmp
	rm -rf $(WRITTEN) data/manifests/*.json data/merges/*.json
