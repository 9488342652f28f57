# Two commands do everything on a fresh machine with python3 (3.11 to 3.13), its venv module, make and git:
# `make demo` and `make test`. `make help` lists the others. Nothing is installed outside .venv and build.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
# The targets share two cores, ports and build/: one at a time. Tests run in parallel inside.
.NOTPARALLEL:
.DEFAULT_GOAL := help

# The first Python that really runs, is of a version we support, and can make a virtual environment.
FITS := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	if "$$p" -c '$(FITS)' 2>/dev/null; then echo "$$p"; break; fi; done)

VENV := .venv
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip install --quiet --disable-pip-version-check --no-build-isolation

# The tools come from .venv, and playbooks find this checkout as the collection, whatever the caller has set up.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/build/collections
export ANSIBLE_HOME := $(CURDIR)/build/ansible
export ANSIBLE_REMOTE_TMP := $(CURDIR)/build/ansible/tmp
export PYTHONUNBUFFERED := 1
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV ANSIBLE_CONFIG

# --- Set-up: a stamp in .venv says what has been installed -------------------------------------------------------

SOURCES := pyproject.toml galaxy.yml requirements/build.txt requirements/runtime.txt requirements/trace.txt

$(RUN):
	$(if $(PYTHON),,$(error Python 3.11 to 3.13 with its venv module is needed (Debian, Ubuntu: python3-venv); python3 is "$(shell python3 --version 2>&1)"))
	@echo "Setting up $(VENV) with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv $(VENV)

$(VENV)/.runtime: $(RUN) $(SOURCES)
	@echo "Installing what the demo needs"
	@$(PIP) --require-hashes -r requirements/build.txt
	@$(PIP) --require-hashes -r requirements/runtime.txt
	@$(PIP) --require-hashes --no-deps -r requirements/trace.txt
	@$(PIP) --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.txt
	@echo "Installing what the tests need"
	@$(PIP) --require-hashes -r requirements/dev.txt
	@touch $@

.PHONY: setup collection-link
setup: $(VENV)/.dev  ## install everything, so that all later runs work offline
	@tests/tools/sanity.sh --prime-venvs

collection-link: | $(VENV)/.runtime  ## make build/collections, through which Ansible sees this checkout
	@$(RUN) tools/stage.py link build/collections

# --- What people run ---------------------------------------------------------------------------------------------

.PHONY: demo docs
demo: $(VENV)/.runtime collection-link  ## run the main job on this machine, and write build/demo/report.html
	@$(RUN) -m foreshadow.demo

docs: $(VENV)/.dev  ## build the reference of the plugins and roles in build/docs
	@tools/docs.sh

# --- Tests -------------------------------------------------------------------------------------------------------

# ARGS goes to the tool: `make pytest ARGS=tests/unit/placement`, `make sanity ARGS=plugins/modules/host.py`.
ARGS ?=

# A shard of the long tests is a file tests/long/test_<shard>.py.
SHARDS := $(patsubst tests/long/test_%.py,test-long-%,$(wildcard tests/long/test_*.py))

.PHONY: test lint pytest sanity molecule test-long $(SHARDS)
test: lint pytest sanity molecule  ## run all of the next four: at most 15 minutes on 2 cores

lint: $(VENV)/.dev collection-link  ## check style, types, the floors, roles and playbooks, and plugin documentation
	@tests/tools/lint.sh

pytest: $(VENV)/.dev collection-link  ## run the tests of the package and of the plugins
	@pytest -n auto --dist worksteal $(ARGS)

sanity: $(VENV)/.dev  ## run ansible-test sanity on a staged copy of the collection
	@tests/tools/sanity.sh $(ARGS)

molecule: $(VENV)/.dev collection-link  ## run every scenario under molecule/
	@molecule test $(or $(ARGS),--all)

test-long: $(SHARDS)  ## run every shard of the long tests; test-long-<shard> runs one

$(SHARDS): test-long-%: $(VENV)/.dev collection-link
	@pytest tests/long/test_$*.py $(ARGS)

# --- Benchmarks: each is a file tests/bench/bench_<name>.py, with _ where the target has - ------------------------

BENCHES := $(subst _,-,$(patsubst tests/bench/bench_%.py,bench-%,$(wildcard tests/bench/bench_*.py)))

.PHONY: bench $(BENCHES)
bench: $(BENCHES)  ## run every benchmark; bench-<name> runs one

$(BENCHES): bench-%: $(VENV)/.dev collection-link
	@$(RUN) -m tests.bench.bench_$(subst -,_,$*) $(if $(filter chaos,$*),$(CHAOS)) $(if $(filter soak,$*),$(SOAK))

# --- Upkeep ------------------------------------------------------------------------------------------------------

.PHONY: format proto lock clean help
format: $(VENV)/.dev  ## format the Python code
	@ruff check --fix-only --quiet
	@ruff format

proto: $(VENV)/.dev  ## generate the gRPC code from the .proto files
	@$(RUN) tools/proto.py

lock: $(VENV)/.dev  ## write the locks in requirements/ anew; UPGRADE=--upgrade takes the newest versions
	@tools/lock.sh $(UPGRADE)

clean:  ## remove everything that make has made
	@rm -rf $(VENV) build dist

help:  ## list the targets
	@awk -F ':.*##' '/^[a-z-]+:.*##/ {printf "  make %-16s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@$(foreach target,$(BENCHES) $(SHARDS),echo '  make $(target)';)
