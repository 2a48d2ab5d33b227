# GNU make 3.81 is enough. No target needs root: what is missing on the machine is said, not installed.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

# The Python to build .venv with; by default the newest of python3.14 ... python3.11, python3.
PYTHON ?=

BIN := .venv/bin
VENV := PYTHON='$(PYTHON)' sh scripts/venv.sh
PROTO_VENV := .build/proto-venv
LOCK_VENV := .build/lock-venv
GEN_PROTOS := $(PROTO_VENV)/bin/python scripts/gen_protos.py

.PHONY: help
help: ## Print this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

.PHONY: run
run: .venv/.run ## Start an example agent on http://127.0.0.1:8080
	@exec $(BIN)/outlast run --host 127.0.0.1 examples/manual_thread.py

.PHONY: test
test: .venv/.dev ## Run the tests (under 10 minutes)
	@$(BIN)/pytest -q --hypothesis-seed=0 --numprocesses=3 --dist=loadfile --no-loadscope-reorder

.PHONY: soak
soak: .venv/.dev ## Run the long counts that `make test` leaves out
	@$(BIN)/pytest -q -m soak --timeout=3600

.PHONY: image-test
image-test: .venv/.dev ## Build the container image and run it with a Docker Engine
	@$(BIN)/pytest -q -m image --timeout=1200

.PHONY: bench
bench: .venv/.dev ## Measure outlast beside its peers (20 minutes; needs PostgreSQL)
	@$(BIN)/python -m benchmarks --results benchmarks/results

.PHONY: bench-large
bench-large: .venv/.dev ## The same with 100,000 tasks at work and 10 million finished ones (20 minutes, 25 GB)
	@$(BIN)/python -m benchmarks --large --results benchmarks/results tasks_at_work finished_tasks

.PHONY: check
check: lint types imports settings-check proto-check ## Run every static check

.PHONY: lint
lint: .venv/.dev ## Check format and style
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/hadolint Dockerfile

.PHONY: types
types: .venv/.dev ## Check types
	@$(BIN)/mypy

.PHONY: imports
imports: .venv/.dev ## Check who imports whom
	@$(BIN)/lint-imports --no-logo

.PHONY: format
format: .venv/.dev ## Format the code and mend what can be mended
	@$(BIN)/ruff check --fix --exit-zero --quiet .
	@$(BIN)/ruff format .

.PHONY: proto
proto: $(PROTO_VENV)/.done ## Generate runtime/outlast/v1 from proto/
	@$(GEN_PROTOS)

.PHONY: proto-check
proto-check: .venv/.dev $(PROTO_VENV)/.done ## Check the protos' style, and that the generated code is theirs
	@$(BIN)/buf lint
	@$(GEN_PROTOS) --check

.PHONY: settings
settings: .venv/.dev ## Write the tables of docs/settings.md
	@$(BIN)/python scripts/settings_docs.py

.PHONY: settings-check
settings-check: .venv/.dev ## Check that docs/settings.md is what the settings say
	@$(BIN)/python scripts/settings_docs.py --check

.PHONY: lock
lock: $(LOCK_VENV)/.done ## Pin the newest versions of all dependencies
	@$(LOCK_VENV)/bin/uv pip compile $(LOCK_OPTIONS) --extra dev --output-file requirements.lock pyproject.toml
	@$(LOCK_VENV)/bin/uv pip compile $(LOCK_OPTIONS) --output-file scripts/gen_protos.lock scripts/gen_protos.in
LOCK_OPTIONS := --quiet --upgrade --universal --python-version 3.11 --no-annotate --custom-compile-command "make lock"

.PHONY: clean
clean: ## Remove what these targets made (not .outlast, the recorded tasks)
	rm -rf .venv .build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find runtime services tests examples scripts -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: each is newer than what it was made from when the environment is as it should be.
.venv/.run: pyproject.toml requirements.lock
	@$(VENV) .venv --constraint requirements.lock --editable '.[example]'
	@touch $@

.venv/.dev: pyproject.toml requirements.lock
	@$(VENV) .venv --constraint requirements.lock --editable '.[dev]'
	@touch .venv/.run $@

$(PROTO_VENV)/.done: scripts/gen_protos.lock
	@$(VENV) $(PROTO_VENV) --requirement scripts/gen_protos.lock
	@touch $@

$(LOCK_VENV)/.done:
	@$(VENV) $(LOCK_VENV) uv
	@touch $@

# The Python of .venv may have gone since (an upgrade), or be another than PYTHON asks for now: then it is made anew.
ifneq ($(shell test -x $(BIN)/python && $(VENV) --is-current .venv && echo yes),yes)
.PHONY: .venv/.run .venv/.dev
endif
