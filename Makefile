# Everything that is run, tested or checked goes through here, by hand and in CI alike.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PY := .venv/bin/python
UV_COMPILE := .venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command="make lock" pyproject.toml

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install everything for development into .venv
	@local/bootstrap.sh dev

bootstrap-run:
	@local/bootstrap.sh run

run: bootstrap-run ## run the whole platform in one process, on servers of its own
	@local/foreground.sh $(PY) -m local.run

stack: bootstrap-run ## run it as separate processes on a real RabbitMQ
	@local/foreground.sh $(PY) -m local.stack

run-%: bootstrap-run ## run one service: gateway, scheduler, sender, archive or sandbox
	@local/foreground.sh $(PY) -m services.$*

tenant: bootstrap-run ## make a tenant and its key in the run or stack that is up: NAME=Acme
	@$(PY) -m local.tenant "$$NAME"

migrate: bootstrap-run ## bring the schemas of CHASQUI_MIGRATE__URL up to date
	@$(PY) -m shared.db.migrate

test: ## run every test
	@local/test.sh

test-%: ## run one folder of tests: unit, contract, integration, e2e or fault
	@local/test.sh $*

verify: lint types arch ## all checks that need no servers; fails when a generated file is stale
	@$(PY) -m local.generate --check

lint: setup ## style and likely mistakes (ruff)
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

types: setup ## types (mypy, strict)
	@$(PY) -m mypy

arch: setup ## who may import whom (import-linter)
	@PYTHONPATH=. $(PY) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'

format: setup ## put the code into shape
	@$(PY) -m ruff check --fix-only .
	@$(PY) -m ruff format .

docs: setup ## write the generated files anew: API documents, event schemas, settings tables
	@$(PY) -m local.generate

lock: setup ## resolve the dependencies of pyproject.toml anew into requirements/*.lock
	$(UV_COMPILE) --extra nlp --group local --group dev --group bench -o requirements/dev.lock
	$(UV_COMPILE) --group local -c requirements/dev.lock -o requirements/local.lock
	$(UV_COMPILE) -c requirements/dev.lock -o requirements/runtime.lock
	$(UV_COMPILE) --extra nlp -c requirements/dev.lock -o requirements/nlp.lock

bench: setup ## measure on this machine, into bench/results/; BENCH="chaos" chooses
	@$(PY) -m bench $(BENCH)

clean: ## remove .venv and caches; data under .chasqui/ stays
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help setup bootstrap-run run stack tenant migrate test verify lint types arch format docs lock bench clean
