# What a developer and the continuous integration run. `make` alone lists the targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The first Python from 3.11 on; `make PYTHON=/path/to/python ...` takes another.
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11,$(shell $(p) -c \
  'import sys; sys.version_info >= (3, 11) and print("$(p)")' 2>/dev/null)))
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SHARDS := examples/digits/shards
PYTEST := $(BIN)/python -m pytest
FILES := sdk operator images tests examples
VERSION := $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' pyproject.toml)

.PHONY: help audit demo environment test lint types verify generate unit programs integration bombs fuzz bench format clean \
  cluster cluster-down images sbom lock e2e chaos
help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.local $(SHARDS)/validation.zip ## a real federation here: 3 workers, 5 rounds, handwritten digits
	$(BIN)/fedjob run examples/digits/job.yaml --shards $(SHARDS) --out out/demo

# Where no cluster can be made (no Docker, no root), its tests are left out with a message; in CI that is a failure.
test: lint types verify unit integration ## everything that must pass before a commit
	@if $(MAKE) --no-print-directory cluster; then $(MAKE) --no-print-directory e2e; \
	elif [ "$${CI:-}" = true ]; then echo "CI must have a cluster"; exit 1; \
	else echo "tests/e2e is LEFT OUT: no cluster can be made here, see above"; fi

environment: $(VENV)/.dev ## .venv with all that developers need

lint: $(VENV)/.dev ## style, and the directions in which packages may import
	$(BIN)/ruff check $(FILES)
	$(BIN)/ruff format --check $(FILES)
	$(BIN)/lint-imports --no-cache

types: $(VENV)/.dev ## mypy, strict
	$(BIN)/mypy

verify: $(VENV)/.dev ## generated files are fresh: crds/, docs/reference/
	@fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; \
	$(MAKE) --no-print-directory generate INTO="$$fresh/"; \
	for file in $$(cd "$$fresh" && find . -type f); do \
	  diff -u "$$file" "$$fresh/$$file" || { echo "$$file is stale: run 'make generate'"; exit 1; }; \
	done; echo "generated files are fresh"

INTO ?=
generate: $(VENV)/.dev ## write the generated files again
	@mkdir -p $(INTO)crds $(INTO)docs/reference
	$(BIN)/python -m fedjob.spec.schema.crd > $(INTO)crds/federatedjobs.fedjob.dev.yaml
	@mkdir -p $(INTO)charts/fedjob/files
	cp $(INTO)crds/federatedjobs.fedjob.dev.yaml $(INTO)charts/fedjob/files/
	$(BIN)/python -m fedjob.spec.schema.reference > $(INTO)docs/reference/spec.md
	PYTHONPATH=tests $(BIN)/python -m support.sdk.python_reference > $(INTO)docs/reference/python.md

unit: $(VENV)/.dev programs ## fast tests, no processes
	$(PYTEST) tests/unit -n 2

programs: ## what the tests need beside Python: a browser, a registry, Docker, helm
	@bash tests/programs.sh

integration: $(VENV)/.dev programs ## real federations, a real S3 store, a real browser; three at a time
	$(PYTEST) tests/integration -n 3 --dist loadgroup --no-loadscope-reorder

cluster: ## a kind cluster of three nodes, and a registry
	tests/cluster/up

cluster-down: ## remove them
	tests/cluster/down

images: cluster ## build the images and push them to the cluster's registry
	tests/cluster/images

sbom: $(VENV)/.dev ## what is in each image, as CycloneDX JSON in out/sbom
	@mkdir -p out/sbom
	@for image in runtime operator store; do \
	  $(BIN)/python images/sbom.py localhost:5001/fedjob/$$image:$(VERSION) > out/sbom/$$image.cdx.json; \
	  echo "out/sbom/$$image.cdx.json"; \
	done

# --strict: a package that the database does not answer for fails, instead of passing unchecked.
audit: ## known vulnerabilities of the images' Python packages (pip-audit); needs the network
	@test -x .cache/audit/bin/pip-audit || { python3 -m venv .cache/audit && .cache/audit/bin/pip install -q 'pip-audit>=2.9,<3'; }
	@for list in images/*/requirements*.txt; do \
	  echo "$$list"; \
	  .cache/audit/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off -r $$list \
	    || { echo "$$list: not clean, or the database was not reached: see the lines above"; exit 1; }; \
	done

# uv writes the hash of every file of a release; pip would write only those it downloaded.
lock: $(VENV)/.dev ## images/*/requirements*.txt again, from the lists beside them
	$(BIN)/python -m venv .cache/lock && .cache/lock/bin/pip install -q uv==0.13.9
	@for list in images/*/requirements*.in; do \
	  deps=--no-deps; [[ $$list != images/build/* ]] || deps=; \
	  .cache/lock/bin/uv pip compile $$list $$deps --python-version 3.13 --generate-hashes \
	    --no-annotate --no-header -q -o $${list%.in}.txt; \
	done

# The quick start's operator serves every namespace, so nothing else may run beside it.
e2e: images $(VENV)/.dev $(SHARDS)/validation.zip ## tests on the cluster, three files at a time
	eval "$$(tests/cluster/env)"; $(PYTEST) tests/e2e/test_quickstart.py
	eval "$$(tests/cluster/env)"; $(PYTEST) tests/e2e -m "not chaos" --ignore=tests/e2e/test_quickstart.py --ignore=tests/e2e/disruptions -n 3 --dist loadgroup
	eval "$$(tests/cluster/env)"; $(PYTEST) tests/e2e/disruptions

chaos: images $(VENV)/.dev $(SHARDS)/validation.zip ## the fault matrix on the cluster: two and a half hours; prints what became of each job
	eval "$$(tests/cluster/env)"; $(BIN)/python tests/chaos/run.py && $(PYTEST) tests/e2e -m chaos

bombs: $(VENV)/.dev ## memory that hostile input of every kind takes; prints the table of docs/concepts/bombs.md
	PYTHONPATH=tests $(BIN)/python -m support.bombs.measure

FUZZ_SECONDS ?= 600
fuzz: $(VENV)/.dev ## random input for the readers of hostile files, FUZZ_SECONDS (600) each
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(PYTEST) tests/integration/security/test_fuzz.py -s

bench: $(VENV)/.dev ## fedjob beside NVFlare by hand; prints ratios
	$(BIN)/python tests/bench/compare.py

format: $(VENV)/.dev ## rewrite the sources in the house style
	$(BIN)/ruff check --fix $(FILES)
	$(BIN)/ruff format $(FILES)

clean: ## delete what runs and tests leave; keeps .venv
	rm -rf out build dist fedjob-out $(SHARDS) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache \
	  .hypothesis .coverage*
	find $(FILES) -name __pycache__ -type d -prune -exec rm -rf {} +

$(SHARDS)/validation.zip: examples/digits/make_shards.py $(VENV)/.local
	$(BIN)/python examples/digits/make_shards.py --out $(SHARDS)
	@touch $@

# Stamps: installed once, and again when pyproject.toml changes. torch is up to 3 GB: pip's cache is kept.
$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "fedjob needs Python 3.11 or newer: install it, or make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.local: pyproject.toml | $(BIN)/python
	@echo 'installing fedjob with PyTorch and NVFlare into $(VENV): up to 3 GB, once, a few minutes'
	$(PIP) install --quiet -e '.[local]' 'scikit-learn>=1.6'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo 'installing fedjob and the tools of its development into $(VENV): up to 3 GB, once, a few minutes'
	$(PIP) install --quiet -e '.[dev]'
	@touch $(VENV)/.local $@
