# Every task of the repository. `make help` lists them; CI calls the same ones (.ci/run).

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
# Quick tests: no root, no second to wait for.
QUICK := not (slow or fault or real or root or hdfs or soak)

.PHONY: help setup setup-dev demo check lint test test-needs bench bench-peers soak docs generate lock wheel clean

help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## build .venv with .venv/bin/holdfast (quick when nothing changed)
	@scripts/bootstrap .venv runtime

setup-dev: setup
	@scripts/bootstrap .venv dev

demo: setup ## show the main job on real files: damage, repair, comparison, figures
	@$(BIN)/holdfast demo $(ARGS)

check: setup-dev lint ## what a developer runs all the time: linters, types, floors, unit tests (seconds)
	@$(PYTEST) -q -n 2 -m "$(QUICK)" tests/unit tests/tidy $(ARGS)

lint: setup-dev
	@failed=; \
	$(BIN)/ruff check || failed+=" ruff"; \
	$(BIN)/mypy || failed+=" mypy"; \
	$(BIN)/lint-imports --no-logo || failed+=" lint-imports"; \
	[[ -z $$failed ]] || { echo "lint: failed:$$failed" >&2; exit 1; }

test: setup-dev test-needs lint ## everything: linters, types, floors and all tests
	@$(PYTEST) -n 2 --dist worksteal $(ARGS)

test-needs:
	@scripts/test-needs

bench: setup-dev ## measure against the machine's ceilings; a table, and JSON in bench/results
	@$(BIN)/python -m bench $(ARGS)

bench-peers: setup-dev ## the same work on what is installed of GlusterFS and Ceph
	@$(BIN)/python -m bench.peers $(ARGS)

soak: setup-dev test-needs ## every case of every fault, for as long as it takes
	@$(PYTEST) --soak --timeout 3600 -m "fault or soak" $(ARGS)

docs: ## build the documentation site into site/
	@scripts/bootstrap .venv-docs docs
	@.venv-docs/bin/zensical build --clean

generate: setup-dev ## write what comes from the code: pages of docs/reference, README tables, the catalogue
	@$(BIN)/python scripts/messages.py update
	@$(BIN)/python scripts/messages.py compile
	@$(BIN)/python scripts/errors_page.py
	@$(BIN)/python scripts/cli_page.py
	@$(BIN)/python scripts/readme_tables.py
	@$(BIN)/python -m holdfast.config reference >docs/reference/configuration.md
	@$(BIN)/python -m holdfast.config json-schema >src/holdfast/config/holdfast.schema.json

lock: setup-dev ## compile requirements/*.txt again, with hashes
	@scripts/lock $(ARGS)

wheel: setup-dev ## build dist/*.whl
	@$(BIN)/python -m build --no-isolation --wheel

clean: ## remove the environments and everything that tools wrote
	@rm -rf .venv .venv-docs .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build site
