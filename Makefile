# What a person does with this repository. Needs git, make and Python 3.11 with venv and pip; uses uv when it is there.
.DEFAULT_GOAL := help
.PHONY: help venv demo up env test check faults crashes smoke lint conformance bench dist clean
SHELL := /bin/bash

PYTHON ?= python3.11
N ?= 200
BIN := .venv/bin
UV := $(shell command -v uv)
NEW_VENV := $(if $(UV),uv venv --quiet --python $(PYTHON) .venv,$(PYTHON) -m venv .venv)
INSTALL := $(if $(UV),uv pip install --quiet --python $(BIN)/python,$(BIN)/python -m pip install --quiet)

help:  ## this list
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):.*## */\1\t/' | expand -t 8

demo: .venv/demo.installed  ## the main job on a real Airflow and an Azure ML on this machine, from nothing to the result
	@$(BIN)/airflow-azml demo

up: .venv/demo.installed  ## Airflow (with its UI) and the emulator until Ctrl-C; DAGS=folder for DAGs of your own
	@$(BIN)/airflow-azml up $(if $(DAGS),--dags $(DAGS))

env: .env  ## the secrets of docker-compose.yaml, made once: then `docker compose up --build`

test: venv  ## all tests: unit, emulator and system tests with a real Airflow; prints the coverage
	$(BIN)/pytest --numprocesses 4 --no-loadscope-reorder --cov --cov-report=term

check: lint  ## lint and the tests without a real Airflow: before each commit
	$(BIN)/pytest --numprocesses 4 --no-loadscope-reorder -m "not system and not smoke"

faults: venv  ## hundreds of pipelines over a bad network, among processes that are killed; N=50 pipelines, SEED=7
	@PYTHONPATH=tests $(BIN)/python tests/faults/campaign.py --pipelines $(N) $(if $(SEED),--seed $(SEED))

crashes: venv  ## the emulator under load, killed at random commits and moments; N=50 kills, SEED=7
	@PYTHONPATH=tests:tests/emulator $(BIN)/python tests/crashes/campaign.py --deployments --kills $(N) $(if $(SEED),--seed $(SEED))

smoke: venv  ## the wheel alone on the oldest supported Airflow and the newest supported Python
	$(BIN)/pytest -m smoke tests/packaging

lint: venv  ## ruff, mypy, the contracts between the rooms, the compose file and the Dockerfile
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yaml
	$(BIN)/hadolint Dockerfile

conformance: venv  ## Microsoft's own SDKs, unmodified, drive the emulator
	@$(BIN)/python conformance/run.py

bench: venv  ## what importing, submitting and a whole pipeline cost
	@set -e; for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script"; done

dist: venv  ## the wheel and the source distribution
	$(BIN)/python -m build --outdir dist

venv: .venv/dev.installed  ## .venv with everything for development

clean:  ## remove everything that these commands have made
	rm -rf .venv .demo .cache build dist .coverage* htmlcov .hypothesis .*_cache

# A file of its own when it fails: half an .env would look like a whole one.
.env:
	@umask 077 && python3 tools/compose_env.py > .env.new && mv .env.new $@
	@echo "Made $@."

.venv/bin/python:
	@echo "Making .venv ..."
	@$(NEW_VENV)

.venv/demo.installed: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing airflow-azml and Airflow ..."
	@# pip learned of dependency groups in 25.1; the one that comes with Python 3.11 is older.
	@$(if $(UV),,$(INSTALL) --upgrade 'pip>=25.1')
	@$(INSTALL) --constraint constraints.txt --editable '.[demo]'
	@touch $@

.venv/dev.installed: .venv/demo.installed
	@echo "Installing what development needs ..."
	@$(INSTALL) --constraint constraints.txt --editable '.[demo,celery]' --group dev
	@touch $@
