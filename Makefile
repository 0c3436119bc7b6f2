# Everything that is run, tested or checked goes through here, by hand and in CI alike.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PY := .venv/bin/python
VERSION = $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' pyproject.toml)
ENGINE ?= docker
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

reload: bootstrap-run ## replace the services of the stack that is up by new processes, one by one, without a failed request
	@$(PY) -m local.reload

run-%: bootstrap-run ## run one service: gateway, scheduler, sender, archive or sandbox
	@local/foreground.sh $(PY) -m services.$*

tenant: bootstrap-run ## make a tenant and its key in the run or stack that is up: NAME=Acme
	@$(PY) -m local.tenant "$$NAME"

admin: bootstrap-run ## make an operator's key in the run or stack that is up: NAME=Ada
	@$(PY) -m local.admin "$$NAME"

backup: bootstrap-run ## write a backup of the run or stack that is up into backups/; TO=<folder> chooses
	@$(PY) -m local.backup "$(or $(TO),backups)"

restore: bootstrap-run ## a backup into a new, empty home that has its secrets.json: FROM=backups/…
	@$(PY) -m local.restore "$(FROM)"

migrate: bootstrap-run ## bring the schemas of CHASQUI_MIGRATE__URL up to date
	@$(PY) -m shared.db.migrate

test: ## run every test
	@local/test.sh

test-%: ## run one folder of tests: unit, contract, integration, e2e, browser or fault
	@local/test.sh $*

verify: lint types arch manifests ## all checks that need no servers; fails when a generated file is stale
	@$(PY) -m local.generate --check

lint: setup ## style and likely mistakes (ruff)
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

types: setup ## types (mypy, strict)
	@$(PY) -m mypy

arch: setup ## who may import whom (import-linter)
	@PYTHONPATH=. $(PY) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'

manifests: setup ## what can be known of image, manifests, dashboards and alerts without a cluster
	@$(PY) -m deploy.checks

format: setup ## put the code into shape
	@$(PY) -m ruff check --fix-only .
	@$(PY) -m ruff format .

docs: setup ## write the generated files anew: API documents, event schemas, settings tables
	@$(PY) -m local.generate

image: ## build the container image chasqui:<version>; ENGINE=podman, LOCK=nlp, BASE=<another Python>@sha256:… choose
	@$(ENGINE) build --build-arg VERSION=$(VERSION) --build-arg REVISION="$$(git rev-parse HEAD)" \
		$(if $(LOCK),--build-arg LOCK=$(LOCK)) $(if $(BASE),--build-arg BASE=$(BASE)) --tag chasqui:$(VERSION) .

sbom: setup ## write the bill of materials of the image's Python packages into dist/ (CycloneDX); LOCK=nlp for that image's
	@test -f requirements/$(or $(LOCK),runtime).lock || { echo "There is no requirements/$(LOCK).lock: LOCK is one of $(basename $(notdir $(wildcard requirements/*.lock)))." >&2; exit 1; }
	@mkdir -p dist
	@$(PY) -W ignore::UserWarning -m cyclonedx_py requirements requirements/$(or $(LOCK),runtime).lock --pyproject pyproject.toml --output-reproducible \
		--output-file dist/chasqui-$(VERSION)$(if $(LOCK),-$(LOCK)).cdx.json

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

.PHONY: help setup bootstrap-run run stack reload tenant admin backup restore migrate test verify lint types arch manifests format docs image sbom lock bench clean
