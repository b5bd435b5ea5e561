# The two commands a newcomer needs: `make run` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.8
PACKAGES := protos services/kit services/lake services/design services/catalogue services/ingestion \
            services/quality services/sharing services/open-data services/security services/gateway services/allinone operators/departments
PROTO_FILES := $(shell find protos/plaza -name '*.proto')
export PLAZA_HOME ?= $(CURDIR)/.plaza
export UV_COMPILE_BYTECODE := 1

.PHONY: help
help:  ## this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: $(VENV)/.run-ready  ## start the whole suite with a demo city (honours PLAZA_HOME, PLAZA_PORT)
	@exec $(BIN)/plaza up

.PHONY: setup
setup: $(VENV)/.dev-ready  ## everything a contributor needs, installed in .venv

.PHONY: test
test: $(VENV)/.dev-ready  ## everything that must be green before a commit
	@# Two at a time: each of these keeps one processor busy. The story needs all of them for itself.
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target check unit integration
	@$(MAKE) --no-print-directory e2e

.PHONY: check
check: $(VENV)/.dev-ready  ## format, lint, strict types, import contracts, buf lint and breaking
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python tools/check_protos.py
	$(BIN)/lint-imports
	$(BIN)/python tools/check_types.py

.PHONY: unit
unit: $(VENV)/.dev-ready  ## tests without sockets
	$(BIN)/pytest -q -m "not integration and not e2e" protos services operators tools --disable-socket --allow-unix-socket

.PHONY: integration
integration: $(VENV)/.dev-ready  ## tests with the real component: PostgreSQL, the lake, the issuer
	$(BIN)/pytest -q -m integration protos services operators charts

.PHONY: e2e
e2e: $(VENV)/.dev-ready  ## the story, against a suite started for it
	$(BIN)/pytest -q -m "not endurance" e2e-tests

.PHONY: e2e-cluster
e2e-cluster: $(VENV)/.dev-ready  ## the story in the cluster of KUBECONFIG, whose nodes have the images of `make images`
	PLAZA_E2E_CLUSTER=1 $(BIN)/pytest -q e2e-tests/test_chapter_[1-478]*.py

.PHONY: e2e-cluster-full
e2e-cluster-full: $(VENV)/.dev-ready  ## isolation, drift, chaos and a hundred departments there, with figures (40 minutes)
	PLAZA_E2E_CLUSTER=1 $(BIN)/pytest -v -s e2e-tests/cluster_full

.PHONY: endurance
endurance: $(VENV)/.dev-ready  ## more than fifty deaths over all formats and load modes: nothing lost, nothing doubled
	$(BIN)/pytest -q -m endurance e2e-tests

.PHONY: bench
bench: $(VENV)/.dev-ready  ## start-up, memory, a GET through the gateway beside bare FastAPI
	$(BIN)/python -m bench

.PHONY: bench-peers
bench-peers: $(VENV)/.dev-ready .venv-peers/.ready  ## other products at the same job: rows/s, memory, broken lines named
	$(BIN)/python -m bench.peers

.PHONY: format
format: $(VENV)/.dev-ready  ## format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: protos
protos: $(VENV)/.dev-ready  ## compile the protos again
	$(BIN)/python protos/build_protos.py

.PHONY: lock
lock: $(BIN)/uv  ## resolve all dependencies again into the two lock files
	$(BIN)/uv lock --upgrade
	$(BIN)/uv export -q --all-packages --no-default-groups --group build --no-emit-workspace --no-header --no-annotate -o requirements.lock
	$(BIN)/uv export -q --all-packages --all-groups --no-emit-workspace --no-header --no-annotate -o requirements-dev.lock

.PHONY: images
images:  ## build all images with docker or buildah (IMAGES=, REGISTRY=, TAG=, BUILD_FLAGS=), print their sizes
	@# Variables given to make are in the environment of what it runs.
	@$(PYTHON) tools/images.py

.PHONY: clean
clean:  ## remove the environment and generated code (data in PLAZA_HOME stay)
	rm -rf $(VENV) protos/gen .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)"

# A stamp each for what `make run` and what contributors need; protos are part of both.
$(VENV)/.run-ready: $(BIN)/uv requirements.lock protos/build_protos.py $(PROTO_FILES) $(addsuffix /pyproject.toml,$(PACKAGES))
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation $(addprefix -e ./,$(PACKAGES))
	@# Ours too: a dozen processes start at once, and where Python may write no bytecode each compiles it all again.
	$(BIN)/python -m compileall -q -j 0 $(PACKAGES)
	touch $@

$(VENV)/.dev-ready: $(VENV)/.run-ready requirements-dev.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements-dev.lock
	touch $@

# Other products never enter our own environment or lock files.
.venv-peers/.ready: $(BIN)/uv bench/peers/requirements.txt
	$(BIN)/uv venv --quiet --clear --python $(PYTHON) .venv-peers
	$(BIN)/uv pip install --quiet --python .venv-peers/bin/python --require-hashes -r bench/peers/requirements.txt
	touch $@
