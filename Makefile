# The whole house: `make` lists the rooms. Plain venv and pip do; uv is used when it is there.

SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
VERSIONS ?= 3.11 3.12 3.13
FASTAPIS ?= 0.115 0.137
ARGS ?=

BIN := $(VENV)/bin
PY := $(BIN)/python
UV := $(shell command -v uv 2>/dev/null)
PIP := $(if $(UV),uv pip install -q --python $(PY),$(PY) -m pip install -qq)
SOURCES = $(wildcard src tests reference benchmarks)

# An environment that is half made, has moved or lost its interpreter counts as none.
SOUND := $(shell grep -qs "$(abspath $(VENV))[\"']\{0,1\}$$" $(BIN)/activate \
	&& $(PY) -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo yes)

.DEFAULT_GOAL := help
.NOTPARALLEL: # tests and benchmarks measure time
.DELETE_ON_ERROR:
.PHONY: help install demo incident tally test test-all test-fastapis .fastapi-suite lint format types contracts suite bench lock build clean venv

help: ## list the targets
	@echo 'make TARGET [PYTHON=python3.12] [ARGS="..."]'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' Makefile

install: $(VENV)/.dev ## make .venv with everything that work on unstall needs

demo: $(VENV)/.demo ## the case study: three stages of one service while an upstream hangs (ARGS="--rate 20")
	$(PY) -m tally demo --output .cache/demo $(ARGS)

incident: $(VENV)/.demo ## the small one: one blocking call freezes a service, and is named (ARGS=...)
	$(BIN)/unstall demo $(ARGS)

tally: $(VENV)/.demo ## serve the reference service, with a PostgreSQL and a Valkey of its own (ARGS="--stage blocking")
	$(PY) -m tally serve $(ARGS)

test: lint types contracts suite ## everything that must hold before a commit

test-all: test-fastapis ## the suite on every Python of VERSIONS found here, and a part of it on older FastAPIs
	@ran=; for version in $(VERSIONS); do \
		python=; \
		for candidate in python$$version $$(ls -d ~/.pyenv/versions/$$version.*/bin/python 2>/dev/null); do \
			if $$candidate -c 'import venv' 2>/dev/null; then python=$$candidate; break; fi; \
		done; \
		if [ -z "$$python" ]; then echo "==> Python $$version: not found, skipped"; continue; fi; \
		echo "==> Python $$version: $$python"; \
		$(MAKE) --no-print-directory suite VENV=.venv-$$version PYTHON=$$python || exit 1; \
		ran="$$ran $$version"; \
	done; \
	if [ -z "$$ran" ]; then echo "none of Python $(VERSIONS) was found"; exit 1; fi; \
	echo "==> passed on Python$$ran"

# Files of tests that say so run on each FastAPI of FASTAPIS, each in its own .venv-fastapi-X.
test-fastapis: ## the tests of how requests are taken apart, on each FastAPI of FASTAPIS
	@for fastapi in $(FASTAPIS); do \
		echo "==> FastAPI $$fastapi"; \
		$(MAKE) --no-print-directory .fastapi-suite \
			VENV=.venv-fastapi-$$fastapi FASTAPI=$$fastapi PYTHON="$(OLDEST)" || exit 1; \
	done

OLDEST = $(firstword $(wildcard ~/.pyenv/versions/3.11.*/bin/python) $(shell command -v python3.11) $(PYTHON))

.fastapi-suite: $(VENV)/.fastapi-$(FASTAPI)
	$(PY) -m pytest -m frameworks -W ignore::DeprecationWarning $(shell grep -rl 'mark\.frameworks' tests --include='*.py') $(ARGS)

lint: $(VENV)/.dev ## style and format
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

format: $(VENV)/.dev ## repair what lint can repair
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

types: $(VENV)/.dev ## mypy, strict
	$(BIN)/mypy $(SOURCES)

contracts: $(VENV)/.dev ## who may import whom
	$(BIN)/lint-imports

# These look at the whole process or machine, or at what a loop feels: nobody else's tests run beside them.
ALONE = tests/gates tests/integrations tests/live tests/run tests/test_reaper.py tests/watch

suite: $(VENV)/.dev ## the tests alone (ARGS="-k clock")
ifeq ($(strip $(ARGS)),)
	$(PY) -m pytest -n 2 --dist loadfile $(ALONE:%=--ignore=%)
	$(PY) -m pytest $(ALONE)
else
	$(PY) -m pytest $(ARGS)
endif

bench: $(if $(NAME),$(VENV)/.dev) ## run one benchmark: NAME=overhead QUICK=1; without NAME, list them
ifdef NAME
	$(PY) benchmarks/$(NAME).py $(if $(filter-out 0,$(QUICK)),--quick) $(ARGS)
else
	@echo 'make bench NAME=... [QUICK=1] [ARGS="..."], where NAME is one of:'
	@ls benchmarks 2>/dev/null | sed -n 's/^\([a-z][a-z0-9_]*\)\.py$$/  \1/p'
endif

LOCK = $(or $(UV),$(BIN)/uv) pip compile -q --universal --python-version 3.11 \
	--annotation-style line --custom-compile-command "make lock" pyproject.toml $(ARGS)

lock: $(if $(SOUND),,venv) ## resolve requirements/*.txt anew after a change in pyproject.toml (ARGS=--upgrade)
	$(if $(UV),,$(PY) -m pip install -qq uv)
	$(LOCK) --all-extras --group dev -o requirements/dev.txt
	$(LOCK) --no-annotate --extra demo --group build --group tally -c requirements/dev.txt -o requirements/demo.txt
	for fastapi in $(FASTAPIS); do $(LOCK) --no-annotate --group frameworks \
		-c <(echo "fastapi==$$fastapi.*") -o requirements/fastapi-$$fastapi.txt || exit 1; done

build: $(VENV)/.dev ## sdist, and from it the wheel, in dist/
	rm -rf dist
	$(PY) -m build --no-isolation
	@$(PY) -m zipfile -l dist/*.whl | grep -q unstall/_reference/incident/ \
		|| { echo 'the wheel lacks reference/incident'; exit 1; }

clean: ## remove caches and build output, not the environments
	rm -rf dist build .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

# Environments. `demo` is a part of `dev`, in the same versions; each is installed once per change.

venv:
	@$(PYTHON) -c '' 2>/dev/null \
		|| { echo '$(PYTHON) does not run: name a Python 3.11 or newer with make PYTHON=...'; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'unstall needs Python 3.11 or newer and $(PYTHON) is older: name one with make PYTHON=...'; exit 1; }
	@$(if $(UV),true,$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null) \
		|| { echo '$(PYTHON) lacks venv: install it (python3-venv on Debian and Ubuntu) or uv'; exit 1; }
	@echo '==> making $(VENV)'
	@$(if $(UV),uv venv -q --seed --clear --python $(PYTHON),$(PYTHON) -m venv --clear) $(VENV)

$(VENV)/.dev $(VENV)/.demo $(VENV)/.fastapi-$(FASTAPI): $(VENV)/.%: requirements/%.txt pyproject.toml $(if $(SOUND),,venv)
	@echo '==> installing $< into $(VENV)'
	@$(PIP) -r $<
	@$(PIP) --no-deps --no-build-isolation -e .$(if $(filter %.dev %.demo,$@), -e reference/tally)
	@touch $@ $(if $(filter %.dev,$@),$(VENV)/.demo)
