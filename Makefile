# `make help` lists the targets. A fresh machine needs Python >= 3.11, pip and make; everything lands in .venv.

PYTHON ?= python3
RUN ?= tiny
PRESET ?= tiny

BIN := .venv/bin
STAMP := .venv/.muse-setup
OFFLINE := HF_HUB_OFFLINE=1
PYTEST := $(OFFLINE) OMP_NUM_THREADS=1 $(BIN)/python -m pytest
EVERY_CORE := --nbval-lax --nbval-current-env -n auto --maxprocesses 4 --dist loadscope --no-loadscope-reorder
CORE_TESTS := $(addprefix tests/,test_architecture.py test_safety.py test_notebook_conventions.py test_start.py) \
  $(addprefix tests/unit/,config losses models baselines foundations training results) $(wildcard tests/mutations)
HALF_THE_CORES := $(shell $(PYTHON) -c 'import os; print(max(1, os.cpu_count() // 2))')

export JUPYTER_PLATFORM_DIRS := 1
export OMP_WAIT_POLICY ?= PASSIVE

.DEFAULT_GOAL := help
.PHONY: help env demo reports reports-all tokenizer baseline ablations table1 unified generation generation-long bench torture gallery docs docs-tools lint types check core-tests test short-tests test-all lab clean-env

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24
	@echo "  variables: PYTHON=$(PYTHON) RUN=$(RUN) PRESET=$(PRESET)"

env: $(STAMP) ## the environment in .venv (nothing to do when it is up to date)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "MUSE needs Python 3.11 or newer and $(PYTHON) is not: install one and run make PYTHON=python3.11 (or newer)." >&2; \
	  exit 1; }
	@echo "Setting up .venv from pyproject.toml and constraints.txt (a few minutes, several GB the first time)"
	@rm -f $@
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -q --disable-pip-version-check uv
	@$(BIN)/python -m uv pip install -q --compile-bytecode --python $(BIN)/python -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP) ## a short training, its headline figures and the explorer, in under five minutes on 2 cores
	$(BIN)/muse demo

reports: $(STAMP) ## run notebooks 00 to 08, and the baseline with shared routing, and write reports/ (RUN, PRESET)
	OMP_NUM_THREADS=$(HALF_THE_CORES) $(MAKE) --jobs 2 tokenizer baseline
	$(BIN)/muse run 00 01 02 03 04 05 06 07 08 --run $(RUN) -p preset $(PRESET) -p study short
	@echo "Open reports/index.html"

tokenizer: $(STAMP) # one of two trainings side by side: more images a second than two cores on one (reports/LOG.md)
	$(BIN)/muse run 00 01 02 03 --run $(RUN) -p preset $(PRESET)

baseline: $(STAMP)
	$(BIN)/muse run 01 02 03 --run $(RUN)-shared -p preset $(PRESET) -p routing shared

ablations: $(STAMP) ## the studies of the paper's claims, what is not kept of nine hours on 2 cores, into reports/gallery
	-$(BIN)/muse study decide
	-$(BIN)/muse study sensitivity
	-$(BIN)/muse study grid
	$(BIN)/muse run 07 --force --run study-decide -p study decide
	$(BIN)/muse gallery --run study-decide --into ablations
	$(BIN)/muse run 07 --force --run study-sensitivity -p study sensitivity
	$(BIN)/muse gallery --run study-sensitivity --into sensitivity
	$(BIN)/muse run 07 --force --run study-grid -p study grid
	$(BIN)/muse gallery --run study-grid --into grid
	$(BIN)/python -m scripts.claims

table1: $(STAMP) ## every system of the paper's Table 1, what is not kept of an hour and three quarters on 2 cores, into reports/gallery
	-$(BIN)/muse study table1
	$(BIN)/muse run 09 --force --run study-table1 -p study table1
	$(BIN)/muse gallery --run study-table1 --into table1

unified: $(STAMP) ## what a language model reads of each system and draws on it, what is not kept of five hours (drawing estimated) on 2 cores, into reports/gallery
	-$(BIN)/muse study language
	-$(BIN)/muse study drawing
	$(BIN)/muse run 10 --force --run study-language -p study language -p drawing drawing
	$(BIN)/muse gallery --run study-language --into language

reports-all: reports ## `make reports`, and Table 1 and the language side in their short forms
	$(BIN)/muse run 09 --run $(RUN) -p study table1-short
	$(BIN)/muse run 10 --run $(RUN) -p study language-short -p drawing drawing-short

generation: $(STAMP) ## longer training of the generators on run RUN's tokenizers, over an hour on 2 cores, into reports/gallery
	$(BIN)/muse run 08 --run study-generation -p preset $(PRESET) -p tokenizers $(RUN) -p resume true \
	  -p steps 2400 -p batch_size 24 -p images 16384 -p drawn 256
	$(BIN)/muse gallery --run study-generation --into generation

generation-long: $(STAMP) ## four times as long again, on MUSE's latents alone, an hour and a half, into reports/gallery
	$(BIN)/muse run 08 --run study-generation-long -p preset $(PRESET) -p tokenizers $(RUN) -p resume true \
	  -p compare false -p steps 10000 -p batch_size 24 -p images 16384 -p drawn 256
	$(BIN)/muse gallery --run study-generation-long --into generation-long

bench: $(STAMP) ## speed and memory as ratios in one run, into reports/bench/bench.json (10 minutes on 2 cores)
	$(BIN)/python -m benchmarks

torture: $(STAMP) ## kills at random moments, every wrong input, an hour of training watched, into reports/torture/torture.json
	$(OFFLINE) OMP_NUM_THREADS=1 $(BIN)/python -m tests.torture

gallery: $(STAMP) ## a finished run into reports/gallery, light enough to commit (RUN)
	$(BIN)/muse gallery --run $(RUN)

docs: docs-tools ## the site of guides, reports and reference in site/; no network once its tools are there
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

docs-tools: $(STAMP)
	@$(BIN)/python -c 'import material, mkdocstrings_handlers.python' 2>/dev/null || \
	  $(BIN)/python -m uv pip install -q --python $(BIN)/python -c constraints.txt -e '.[docs]'

lint: $(STAMP) ## ruff check and ruff format --check
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(STAMP) ## basedpyright over muse_core and scripts
	$(BIN)/basedpyright

check: $(STAMP) ## in two minutes on 2 cores: lint, types, the tests of architecture, models, losses and training core
	$(MAKE) --jobs 2 --output-sync=target lint core-tests types

core-tests: $(STAMP)
	$(PYTEST) -q -n auto --maxprocesses 4 --dist loadfile -m "not slow and not long" $(CORE_TESTS)

test: lint ## everything a change can break: types, pytest on every core, with the notebooks' cells (nbval) on one of them
	$(MAKE) --jobs 2 types short-tests

short-tests: $(STAMP)
	$(PYTEST) $(EVERY_CORE) -m "not long" --ignore notebooks/studies $(addprefix --ignore notebooks/,09_table_one.ipynb 10_unified.ipynb) notebooks tests

test-all: lint types docs-tools ## the long forms as well
	$(PYTEST) $(EVERY_CORE) notebooks tests

lab: $(STAMP) ## JupyterLab on the notebooks, which it saves with the widgets in them
	$(BIN)/muse lab

clean-env: ## remove .venv
	rm -rf .venv
