# Two commands on a fresh machine: make train, make test.

# The interpreter to make .venv with; empty takes the first that fits of CANDIDATES. If it is of another version than
# .venv, as in make PYTHON=python3.12 setup, .venv is made anew.
PYTHON ?=
# Passed on to the program: make train ARGS="model=lstm model.num_layers=3", make test ARGS="-k gru".
ARGS ?=
# The sweep of make sweep, a file of sweeps/.
NAME ?=
# The sweep of make wandb-agent, as wandb sweep prints it: entity/project/id.
SWEEP ?=

SHELL := bash
VENV := .venv
IN_VENV := $(VENV)/bin/python
PIP := $(IN_VENV) -m pip install --disable-pip-version-check
COMPLETE := $(VENV)/set-up-complete
# Stands while packages are installed: found at the start, the last set-up was cut off and its packages may be half there.
BEGUN := $(VENV)/set-up-begun
CANDIDATES := $(or $(PYTHON),python3 python3.13 python3.12 python3.11)
# Each worker imports torch anew: more than four gain nothing.
IN_PARALLEL := -n auto --maxprocesses 4 --dist worksteal
# One entry of CUDA_VISIBLE_DEVICES for each GPU that there is to use.
GPUS := from rnnexp.sweeps.devices import visible_gpus; print(*visible_gpus())
VERSION := import sys; print("%d.%d" % sys.version_info[:2])
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
# Of pip's many lines those that tell how far it is: big files, builds, and the minutes of unpacking at the end.
PROGRESS := sed -unE -e 's/^ *((Downloading|Using cached) [^ ]+) (\([0-9.]+ [MG]B\)).*/  \1 \3/p' \
	-e 's/^ *(Building wheels? for [^:]+):.*/  \1/p' -e 's/^(Installing collected packages).*/  \1/p'

.PHONY: help setup train sweep test check wandb-agent lock

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

setup: $(COMPLETE) ## .venv with the packages of requirements.lock

train: $(COMPLETE) ## train one network; ARGS="model=lstm model.num_layers=3" overrides its config
	@$(IN_VENV) -m rnnexp.train $(ARGS)

sweep: $(COMPLETE) ## a question of sweeps/; NAME=cells_mnist, and ARGS="size=small" for a laptop
	@if [ -z "$(NAME)" ]; then echo "which sweep? make sweep NAME=cells_mnist; there are:" $(notdir $(basename $(wildcard sweeps/*.yaml))) >&2; exit 2; fi
	@$(IN_VENV) -m rnnexp.train --config-dir sweeps --config-name $(NAME) $(ARGS)

test: $(COMPLETE) ## the unit tests; ARGS="-m slow" runs the slow ones
	@$(IN_VENV) -m pytest $(IN_PARALLEL) $(ARGS)

check: $(COMPLETE) ## lint, format, types and tests
	$(IN_VENV) -m ruff check .
	$(IN_VENV) -m ruff format --check .
	$(IN_VENV) -m mypy
	$(IN_VENV) -m pytest $(IN_PARALLEL) $(ARGS)

# Ctrl-C asks the agents to end, they ask their runs, and a run saves a checkpoint first. Without a GPU one agent sees none.
wandb-agent: $(COMPLETE) ## jobs of a W&B sweep, an agent per GPU; SWEEP=entity/project/id
	@if [ -z "$(SWEEP)" ]; then echo "which sweep? make wandb-agent SWEEP=entity/project/id" >&2; exit 2; fi; \
	gpus=$$($(IN_VENV) -c '$(GPUS)') || exit; \
	trap 'kill -TERM $$(jobs -p); wait' INT TERM; \
	export PATH="$(CURDIR)/$(VENV)/bin:$$PATH"; \
	for gpu in $${gpus:-none}; do \
		CUDA_VISIBLE_DEVICES=$${gpu#none} wandb agent --forward-signals $(ARGS) $(SWEEP) & \
	done; \
	wait

lock: ## requirements.lock anew from pyproject.toml; ARGS=--upgrade takes newer versions
	@set -euo pipefail; uv=$$(command -v uv || true); \
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
	@set -o pipefail; PYTHONUNBUFFERED=1 $(PIP) --require-hashes -r requirements.lock | $(PROGRESS)
	@rm $(BEGUN)
	@$(PIP) --quiet --no-deps --no-build-isolation -e .
	@touch $@
