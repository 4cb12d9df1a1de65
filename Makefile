# Everything a newcomer, an operator at a desk and CI run. `make` alone lists the targets.
# A fresh machine needs Python 3.11 or newer and nothing else.

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
# Version control systems do not keep empty links well: the link is made here.
LINK := .types/trimaran

.DEFAULT_GOAL := help
.PHONY: help setup up down test lint format proto sim model bench bench-apply bench-pauses chaos compose-test clean

help:
	@echo "make up            three nodes on loopback, data in ./data; ctrl-C stops them"
	@echo "make down          stop the nodes that 'make up' started"
	@echo "make test          lint, types, import rules, all tests that fit in eight minutes"
	@echo "make lint          the checks alone; 'make format' repairs what can be repaired"
	@echo "make sim SEED=7    one simulated run, the same each time; SEEDS=0:5000 runs many"
	@echo "make model SEED=7  commands beside a real Redis; SECONDS=600 DB=9 RESP=3 MEMORY=1"
	@echo "make bench         SET and GET beside etcd; one table"
	@echo "make bench BENCH_FLAGS=types     commands of every type beside Redis and etcd;"
	@echo "                   so also sdk, memory, channels, expiry, layers, --help"
	@echo "make bench-pauses  the longest time a command on a million elements stops a node"
	@echo "make bench-apply   microseconds of each write command, apply alone, beside SET's"
	@echo "make chaos         kill -9, pauses and cuts on real processes, for minutes"
	@echo "make compose-test  deploy/ on a real container engine"
	@echo "make proto         generated code from proto/*.proto"
	@echo "make setup         the virtual environment with everything in it"

# --- The virtual environment, in two stamps: what a node needs, and what checking needs.

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Python 3.11 or newer is needed; name it: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "the venv module is missing (Debian: apt-get install python3-venv)"; exit 1; }

$(VENV)/.server: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[server]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[server,test,dev]'
	@touch $(VENV)/.server $@

$(LINK):
	@mkdir -p .types && ln -sfn .. $(LINK)

setup: $(VENV)/.dev $(LINK)

# --- A cluster on this machine.

NODES ?= 3
PORT ?= 7379
DATA ?= ./data
UP_FLAGS ?=

up: $(VENV)/.server
	@exec $(BIN)/trimaran up --nodes $(NODES) --port $(PORT) --data $(DATA) $(UP_FLAGS)

down: $(VENV)/.server
	@$(BIN)/trimaran down --data $(DATA)

# --- Checks.

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=.types $(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Side by side: what starts nodes, and what computes (tests/conftest.py). One after the other:
# make test TEST_FLAGS=
TEST_FLAGS ?= -n 2 --dist loadscope --no-loadscope-reorder

test: lint
	.ci/oracle
	$(BIN)/python -m pytest $(TEST_FLAGS)

sim: setup
	$(BIN)/python -m tests.sim $(if $(SEEDS),--seeds $(SEEDS),--seed $(or $(SEED),0))

model: setup
	.ci/oracle
	$(BIN)/python -m tests.model --seed $(or $(SEED),1) --seconds $(or $(SECONDS),60) \
	  $(if $(DB),--db $(DB)) $(if $(RESP),--resp $(RESP)) $(if $(MEMORY),,--node)

bench: setup
	$(BIN)/python -m tests.bench $(BENCH_FLAGS)

bench-pauses: setup
	$(BIN)/python -m tests.bench pauses $(BENCH_FLAGS)

bench-apply: setup
	$(BIN)/python -m tests.bench apply $(BENCH_FLAGS)

chaos: setup
	.ci/oracle
	$(BIN)/python -m tests.chaos $(CHAOS_FLAGS)

compose-test: setup
	deploy/compose-test

# -I .types: so that generated modules import one another as trimaran.proto. Messages only: streams
# are raw bytes to gRPC (node/peer_stream.py), so that nothing is parsed twice.
proto: setup
	cd .types && ../$(BIN)/python -m grpc_tools.protoc -I . --python_out=. --pyi_out=. \
	  trimaran/proto/*.proto

clean:
	rm -rf $(VENV) .types build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	  .import_linter_cache
