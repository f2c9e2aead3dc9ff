# Everything runs in .venv, made on first use. PYTHON names the interpreter to make it with: make PYTHON=python3.12 test
SHELL   := /bin/bash
PYTHON  ?= python3
WORKERS ?= 2
BIN     := .venv/bin
# Compiled modules and rewritten tests are kept in __pycache__, whatever the environment says: half of a start is theirs.
export PYTHONDONTWRITEBYTECODE :=
# Files go to the workers in their order, integration first: the few long tests do not come last and alone.
PYTEST   = $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder
COVERAGE = --cov --cov-report=term:skip-covered --cov-report=json:.coverage.json
BRANCHES = $(BIN)/python -c 'import json; t = json.load(open(".coverage.json"))["totals"]; \
	b, n = t["covered_branches"], t["num_branches"]; print(f"branches covered: {b} of {n}, {b / n:.1%}")'
PIP     := $(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt
SCRIPTS := start-gt5.sh start-gt5-multi.sh bin/distributed.sh bin/check_network.sh tests/integration/two_nodes.sh tests/matrix.sh .ci/run benchmarks/run_gpu.sh $(wildcard recipes/*)

.DEFAULT_GOAL := help
.PHONY: help demo demo-lm test test-fast test-data test-robust test-matrix coverage check wheel docs golden clean

help: ## list what make can do
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1 \t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: .venv/installed ## annotate an artificial genome with the shipped model and score it
	@rm -rf demo
	$(BIN)/genet5 simulate demo/genome --length_bp 200000 --seed 1
	$(BIN)/genet5 annotate demo/genome/genome.fa -o demo/genes.gff3 --proteins demo/proteins.faa
	$(BIN)/genet5 eval --predictions demo/genes.gff3 --reference demo/genome/annotation.gff3 --json demo/scores.json
	@echo
	@echo "The genome and its true genes:  demo/genome/genome.fa  demo/genome/annotation.gff3"
	@echo "What the model found:           demo/genes.gff3  demo/proteins.faa"
	@echo "Scores (the table above):       demo/scores.json"

demo-lm: .venv/installed-lm ## train a toy language model on an artificial genome; score variants, embed, generate
	@PATH="$(CURDIR)/$(BIN):$$PATH" recipes/demo_lm.sh demo-lm

test: .venv/installed-dev ## run all tests
	$(PYTEST)

test-fast: .venv/installed-dev ## run the unit tests but the slow ones: under a minute on two cores
	$(PYTEST) -m "not data and not robust and not slow" tests/unit

test-data: .venv/installed-dev ## sweep over the real genomes in ../shared (minutes)
	$(BIN)/python -m pytest -q -m data

test-robust: .venv/installed-dev ## kill whole runs at many moments; try 500 examples of each property (many minutes)
	$(BIN)/python -m pytest -q -m robust
	$(BIN)/python -m pytest -q -m "hypothesis and not data" --hypothesis-profile=thorough tests/unit

test-matrix: ## run the fast tests with Python 3.11 to 3.13 and the oldest and newest PyTorch (large downloads)
	tests/matrix.sh

coverage: .venv/installed-dev ## run all tests and print what they leave uncovered, branches included
	$(PYTEST) $(COVERAGE)
	@$(BRANCHES)

check: .venv/installed-dev ## lint, formatting, types, import contracts, shell scripts, Dockerfile
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/shellcheck $(SCRIPTS)
	$(BIN)/hadolint Dockerfile

wheel: .venv/installed-dev ## build the source distribution and the wheel into dist/
	$(BIN)/python -m build --no-isolation --outdir dist

docs: .venv/installed-docs ## build the documentation site into docs/_build/html; warnings are errors
	$(BIN)/python -m sphinx -q --fail-on-warning --keep-going -d docs/_build/doctrees docs docs/_build/html
	@echo "docs/_build/html/index.html"

golden: .venv/installed-dev ## rewrite the stored expectations in tests/golden; review the diff
	$(BIN)/python -m pytest -q -m golden --update-golden

clean: ## remove the environment, caches and the demo's results
	rm -rf .venv .matrix demo demo-lm build dist docs/_build docs/generated .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is not Python 3.11 or newer; try: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "no venv module; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@touch $@

# PyTorch goes in first and alone: a resolver that meets it among others may try many of its large files.
.venv/torch: .venv/made constraints.txt
	@echo "Installing PyTorch (once; it is large) ..."
	@$(PIP) torch
	@touch $@

.venv/installed: .venv/torch pyproject.toml
	@echo "Installing GeneT5 and what it needs ..."
	@$(PIP) --editable .
	@touch $@

.venv/installed-dev: .venv/installed
	@echo "Installing the development tools ..."
	@$(PIP) --editable ".[dev]"
	@touch $@

.venv/installed-lm: .venv/installed
	@echo "Installing what language models need ..."
	@$(PIP) --editable ".[lm]"
	@touch $@

.venv/installed-docs: .venv/installed
	@echo "Installing the documentation tools ..."
	@$(PIP) --editable ".[docs]"
	@touch $@
