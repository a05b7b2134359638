# Two commands on a fresh machine: make train, make test.

# The interpreter that makes .venv; empty takes the first supported one of CANDIDATES. If its version differs from that
# of .venv, as in make PYTHON=python3.12 setup, .venv is made again.
PYTHON ?=
# Arguments of the program: make train ARGS="model=lstm model.num_layers=3", make test ARGS="-k gru".
ARGS ?=
# The sweep that make sweep runs: the name of a file in sweeps/.
NAME ?=
# The W&B sweep that make wandb-agent works on, as wandb sweep prints it: entity/project/id.
SWEEP ?=

SHELL := bash
# The installer; empty installs with pip, from the same lock file: make UV= setup.
UV ?= $(shell command -v uv)
VENV := .venv
IN_VENV := $(VENV)/bin/python
PIP := $(IN_VENV) -m pip install --disable-pip-version-check
COMPLETE := $(VENV)/set-up-complete
# The environment of make test-floors.
FLOORS := .venv-floors
# Exists while packages are installed. If it exists at the start, the last set-up was interrupted, and .venv is made again.
BEGUN := $(VENV)/set-up-begun
CANDIDATES := $(or $(PYTHON),python3 python3.13 python3.12 python3.11)
# Each worker imports torch: more than four gain nothing.
IN_PARALLEL := -n auto --maxprocesses 4 --dist worksteal
# One entry of CUDA_VISIBLE_DEVICES for each usable GPU.
GPUS := from rnnexp.sweeps.devices import visible_gpus; print(*visible_gpus())
VERSION := import sys; print("%d.%d" % sys.version_info[:2])
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
# Keeps the lines of pip that show progress: large files, builds, and the minutes of unpacking at the end.
PROGRESS := sed -unE -e 's/^ *((Downloading|Using cached) [^ ]+) (\([0-9.]+ [MG]B\)).*/  \1 \3/p' \
	-e 's/^ *(Building wheels? for [^:]+):.*/  \1/p' -e 's/^(Installing collected packages).*/  \1/p'

.PHONY: help setup train sweep test test-gpu test-floors lint check schema docs wandb-agent lock

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

setup: $(COMPLETE) ## .venv with the packages of requirements.lock

train: $(COMPLETE) ## train one network; ARGS="model=lstm model.num_layers=3" overrides its config
	@$(IN_VENV) -m rnnexp.train $(ARGS)

sweep: $(COMPLETE) ## run a sweep of sweeps/; NAME=cells_mnist, and ARGS="size=small" for a laptop
	@if [ -z "$(NAME)" ]; then echo "which sweep? make sweep NAME=cells_mnist; there are:" $(notdir $(basename $(wildcard sweeps/*.yaml))) >&2; exit 2; fi
	@$(IN_VENV) -m rnnexp.train --config-dir sweeps --config-name $(NAME) $(ARGS)

test: $(COMPLETE) ## the unit tests; ARGS="-m slow" runs the slow ones
	@$(IN_VENV) -m pytest $(IN_PARALLEL) $(ARGS)

test-gpu: $(COMPLETE) ## the tests that need a CUDA device
	@$(IN_VENV) -m pytest -m gpu -n 0 $(ARGS)

# pip has no way to ask for the lowest versions.
test-floors: ## the unit tests with the lowest versions that pyproject.toml allows, in .venv-floors; needs uv
	@if [ -z "$(UV)" ]; then echo "make test-floors needs uv: pip install uv" >&2; exit 2; fi
	@"$(UV)" venv --quiet --clear --python $(or $(PYTHON),python3.11) $(FLOORS)
	@"$(UV)" pip install --python $(FLOORS)/bin/python --resolution lowest-direct \
		-r pyproject.toml --group dev --all-extras -e .
	@$(FLOORS)/bin/python -m pytest $(IN_PARALLEL) $(ARGS)

lint: $(COMPLETE) ## lint, format and types
	$(IN_VENV) -m ruff check .
	$(IN_VENV) -m ruff check --preview --select PLW1514 .  # an encoding for every text file
	$(IN_VENV) -m ruff format --check .
	$(IN_VENV) -m mypy

check: lint test ## lint and test

schema: $(COMPLETE) ## write the JSON schemas of conf/, with which editors complete and check config keys
	@$(IN_VENV) -m rnnexp.cli.schema

docs: $(COMPLETE) ## the pages of docs/ and the API reference as a site in site/; a broken link is an error
	@$(IN_VENV) -m sphinx --fail-on-warning --keep-going --nitpicky --quiet docs site
	@echo "written to site/index.html"

# Ctrl-C ends the agents, they end their runs, and a run saves a checkpoint first. Without a GPU one agent is started.
wandb-agent: $(COMPLETE) ## jobs of a W&B sweep, an agent per GPU; SWEEP=entity/project/id
	@if [ -z "$(SWEEP)" ]; then echo "which sweep? make wandb-agent SWEEP=entity/project/id" >&2; exit 2; fi; \
	gpus=$$($(IN_VENV) -c '$(GPUS)') || exit; \
	trap 'kill -TERM $$(jobs -p); wait' INT TERM; \
	export PATH="$(CURDIR)/$(VENV)/bin:$$PATH"; \
	for gpu in $${gpus:-none}; do \
		CUDA_VISIBLE_DEVICES=$${gpu#none} wandb agent --forward-signals $(ARGS) $(SWEEP) & \
	done; \
	wait

lock: ## requirements.lock from pyproject.toml; ARGS=--upgrade takes newer versions
	@set -euo pipefail; uv="$(UV)"; \
	if [ -z "$$uv" ]; then \
		temporary=$$(mktemp -d); trap 'rm -rf "$$temporary"' EXIT; \
		$(firstword $(CANDIDATES)) -m venv "$$temporary"; \
		"$$temporary/bin/python" -m pip install --quiet --disable-pip-version-check uv; \
		uv=$$temporary/bin/uv; \
	fi; \
	"$$uv" pip compile pyproject.toml --group dev --all-extras --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --no-annotate --quiet -o requirements.lock $(ARGS)

ifneq ($(PYTHON),)
ifneq ($(shell $(PYTHON) -c '$(VERSION)' 2>/dev/null),$(shell $(IN_VENV) -c '$(VERSION)' 2>/dev/null))
.PHONY: $(COMPLETE)
endif
endif

$(COMPLETE): requirements.lock pyproject.toml
	@chosen=; for python in $(CANDIDATES); do \
		if $$python -c '$(SUPPORTED)' 2>/dev/null; then chosen=$$python; break; fi; \
	done; \
	if [ -z "$$chosen" ]; then \
		echo "rnnexp needs Python 3.11, 3.12 or 3.13, and none is found as $(CANDIDATES):" \
			"make PYTHON=/path/to/python3.12 setup" >&2; \
		exit 1; \
	fi; \
	version=$$($$chosen -c '$(VERSION)'); \
	if [ -e $(BEGUN) ] || ! $(IN_VENV) -c 'import pip; $(SUPPORTED)' 2>/dev/null \
		|| [ -n "$(PYTHON)" -a "$$($(IN_VENV) -c '$(VERSION)')" != "$$version" ]; \
	then \
		echo "Making $(VENV) with Python $$version"; \
		$$chosen -m venv --clear $(VENV); \
	fi
	@rm -f $@ && touch $(BEGUN)
	@echo "Installing the packages of requirements.lock (several GB and minutes the first time)"
ifeq ($(UV),)
	@set -o pipefail; PYTHONUNBUFFERED=1 $(PIP) --require-hashes -r requirements.lock | $(PROGRESS)
	@rm $(BEGUN)
	@$(PIP) --quiet --no-deps --no-build-isolation -e .
else
	@"$(UV)" pip install --python $(IN_VENV) --require-hashes -r requirements.lock
	@rm $(BEGUN)
	@"$(UV)" pip install --python $(IN_VENV) --quiet --no-deps --no-build-isolation -e .
endif
	@touch $@
