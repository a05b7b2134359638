# Two commands on a fresh machine: make train, make test.

# The interpreter to make .venv with; empty takes the first of python3, python3.13, python3.12 and python3.11 that fits.
# Another one than .venv has, make PYTHON=python3.12 setup, makes .venv anew.
PYTHON ?=
# Passed on to the program: make train ARGS="model=lstm model.num_layers=3", make test ARGS="-k gru".
ARGS ?=

SHELL := bash
VENV := .venv
IN_VENV := $(VENV)/bin/python
# Written last, so that a set-up that was interrupted is done again.
STAMP := $(VENV)/set-up-complete
CANDIDATES := $(or $(PYTHON),python3 python3.13 python3.12 python3.11)
VERSION := import sys; print("%d.%d" % sys.version_info[:2])
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
# pip's own progress bar does not survive being filtered, so the big downloads are announced instead.
ANNOUNCE := sed -nE 's/^ *(Downloading [^ ]*|Building wheels? for [^:]*|Installing collected packages).*(\([0-9.]+ [MG]B\))?.*/  \1 \2/p'

.PHONY: help setup train test check lock

help: ## this list
	@sed -nE 's/^([a-z]+):.*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

setup: $(STAMP) ## .venv with exactly the packages of requirements.lock

train: $(STAMP) ## train one network; ARGS="model=lstm model.num_layers=3" overrides its config
	@$(IN_VENV) -m rnnexp.train $(ARGS)

test: $(STAMP) ## the unit tests; ARGS="-m slow" runs the slow ones
	@$(IN_VENV) -m pytest $(ARGS)

check: $(STAMP) ## lint, format, types and tests
	$(IN_VENV) -m ruff check .
	$(IN_VENV) -m ruff format --check .
	$(IN_VENV) -m mypy
	$(IN_VENV) -m pytest $(ARGS)

lock: ## requirements.lock anew from pyproject.toml; ARGS=--upgrade takes newer versions
	@set -euo pipefail; uv=$$(command -v uv || true); \
	if [ -z "$$uv" ]; then \
		temporary=$$(mktemp -d); trap 'rm -rf "$$temporary"' EXIT; \
		$(firstword $(CANDIDATES)) -m venv "$$temporary"; \
		"$$temporary/bin/python" -m pip install --quiet --disable-pip-version-check uv; uv=$$temporary/bin/uv; \
	fi; \
	"$$uv" pip compile pyproject.toml --group dev --extra tensorboard --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --no-annotate --quiet -o requirements.lock $(ARGS)

ifneq ($(PYTHON),)
ifneq ($(shell $(PYTHON) -c '$(VERSION)' 2>/dev/null),$(shell $(IN_VENV) -c '$(VERSION)' 2>/dev/null))
.PHONY: $(STAMP)
endif
endif

$(STAMP): requirements.lock pyproject.toml
	@rm -f $@
	@chosen=; for python in $(CANDIDATES); do \
		if $$python -c '$(SUPPORTED)' 2>/dev/null; then chosen=$$python; break; fi; \
	done; \
	if [ -z "$$chosen" ]; then \
		echo "rnnexp needs Python 3.11, 3.12 or 3.13; not found as $(CANDIDATES): make PYTHON=/path/to/python3.12 setup" >&2; \
		exit 1; \
	fi; \
	version=$$($$chosen -c '$(VERSION)'); \
	if ! $(IN_VENV) -c 'import pip' 2>/dev/null \
		|| ! $(IN_VENV) -c '$(SUPPORTED)' \
		|| { [ -n "$(PYTHON)" ] && [ "$$($(IN_VENV) -c '$(VERSION)')" != "$$version" ]; }; \
	then \
		echo "Making $(VENV) with Python $$version"; \
		$$chosen -m venv --clear $(VENV); \
	fi
	@echo "Installing the packages of requirements.lock (several GB and minutes the first time)"
	@set -o pipefail; $(IN_VENV) -m pip install --disable-pip-version-check --require-hashes -r requirements.lock | $(ANNOUNCE)
	@$(IN_VENV) -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@touch $@
