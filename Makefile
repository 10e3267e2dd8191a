# What needs .venv makes it, and installs what is missing or out of date.
PYTHON ?= python3
BIN := .venv/bin

# with this set, each of the many processes of the tests compiles all of charlab anew
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install train test test-slow lint bench-all clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile

install: .venv/.installed  ## make .venv with the pinned packages

.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "charlab needs Python 3.11 or later: make PYTHON=python3.12 ..." >&2; exit 2; }
	@echo "installing into .venv (a few minutes the first time)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt --editable '.[dev,report,sweeps,tensorboard,zstd]'
	@touch $@

train: .venv/.installed  ## train on the bundled names, show samples and the next steps
	@$(BIN)/python train.py

test: .venv/.installed  ## the test suite, without the slow ones
	@$(BIN)/python -m pytest -n auto -m "not slow"

test-slow: .venv/.installed  ## the tests that take minutes
	@$(BIN)/python -m pytest -m slow

lint: .venv/.installed  ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench-all: .venv/.installed  ## all figures of speed, into docs/results/speed; half an hour, nothing else running
	@$(BIN)/python benchmarks/all.py

clean:  ## remove .venv and caches; runs stay
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info
