# Two commands do everything on a fresh machine with Python 3.11+, make and (for containers) a container engine:
#   make demo    sets up and runs the main job
#   make test    sets up and runs the tests
# `uv` need not be installed: it comes from the locked requirements into a virtual environment of this directory.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
WHEELHOUSE := $(VENV)/wheelhouse
VERSION_HERE = $(shell sed -n 's/__version__ = "\(.*\)"/\1/p' src/ws_mcp/__init__.py)
GO_SOURCES := $(wildcard execd/*.go) execd/go.mod hatch_build.py
GO_ENV := GOPROXY=off GOTOOLCHAIN=local GOFLAGS=-buildvcs=false

# Where it is set (images for containers set it), each server that a test starts compiles all its libraries first.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup execd devcontainers conformance inspector packer hosts wheelhouse mcpb sbom changelog image dist demo test check bench bench-peers soak soak-simulation soak-faults soak-kills soak-load fuzz format snapshots clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

setup: $(STAMP)  ## virtual environment, execd, the package itself (editable)

$(VENV)/.tools: requirements/dev.txt requirements/uv.txt
	@echo "== setting up $(VENV) (about 20 s with cold caches) =="
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ws-mcp needs Python 3.11 or newer; say which with make PYTHON=python3.x")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@touch $@

$(STAMP): $(VENV)/.tools pyproject.toml $(GO_SOURCES)
	@echo "== building execd and installing ws-mcp (about 40 s the first time) =="
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/uv pip install --quiet --python $(BIN)/python --no-build-isolation --no-deps --editable .
	@touch $@

execd: $(VENV)/.tools  ## only build the process daemon
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python hatch_build.py

devcontainers: $(VENV)/devcontainers/.ready  ## the dev container CLI; only for dev containers (needs Node 20 and npm)

conformance: $(VENV)/conformance/.ready  ## the official conformance suite with its Node; only for its tests (needs npm)

inspector: $(VENV)/inspector/.ready  ## the official Inspector with its Node; only for its tests (needs npm)

packer: $(VENV)/mcpb/.ready  ## the official packer of bundles for Claude Desktop (needs Node 20 and npm)

# Beside the virtual environment, so that they go with it and the server and the tests find them.
$(VENV)/%/.ready: requirements/%/package.json requirements/%/package-lock.json | $(VENV)/.tools
	@command -v npm >/dev/null || { echo "requirements/$* needs Node 20 or newer and npm (Debian 13: apt-get install npm)"; exit 1; }
	@echo "== installing what requirements/$* names (2 to 30 s) =="
	@rm -rf $(@D) && mkdir -p $(@D)
	@cp $^ $(@D)/
	@npm ci --prefix $(@D) --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

wheelhouse: $(WHEELHOUSE)/.ready  ## the packages that an installation needs; only for the tests of one

$(WHEELHOUSE)/.ready: requirements/run.txt | $(VENV)/.tools
	@echo "== fetching the packages that an installation needs (about 20 s) =="
	@rm -rf $(WHEELHOUSE) && mkdir -p $(WHEELHOUSE)
	@$(BIN)/python -m pip download --quiet --disable-pip-version-check --require-hashes --only-binary :all: --dest $(WHEELHOUSE) -r requirements/run.txt
	@touch $@

mcpb: setup packer  ## the bundle for Claude Desktop, into dist/
	@rm -rf dist/mcpb
	@$(BIN)/python release/dist.py dist/mcpb bundle
	@node $(VENV)/mcpb/node_modules/@anthropic-ai/mcpb/dist/cli/cli.js pack dist/mcpb dist/ws-mcp-$(VERSION_HERE).mcpb

sbom: setup  ## what ws-mcp is made of, as CycloneDX, into dist/
	@mkdir -p dist
	@$(BIN)/python release/sbom.py > dist/ws-mcp-$(VERSION_HERE).cdx.json

changelog: setup  ## move the fragments of changes/ into CHANGELOG.md; VERSION says under which heading
	@test -n "$(VERSION)" || { echo "say which: make changelog VERSION=1.2.3"; exit 1; }
	@$(BIN)/towncrier build --yes --version "$(VERSION)"

image: setup  ## the image of the HTTP server, by the docker command; BASE names another base
	@rm -rf dist/image
	@$(BIN)/python release/dist.py dist/image image
	@docker build $(if $(BASE),--build-arg BASE=$(BASE)) --file dist/image/Containerfile --tag ws-mcp:$(VERSION_HERE) dist/image

dist: setup  ## what is uploaded, into dist/: an sdist, and wheels for Linux and macOS
	@rm -rf dist
	@$(BIN)/python release/dist.py dist

demo: setup  ## the main job, end to end, as a readable transcript
	@$(BIN)/ws-mcp demo

test: setup  ## all tests (those that need an engine say why they were skipped; with CI=true they fail)
	@$(MAKE) --no-print-directory --keep-going devcontainers conformance inspector packer wheelhouse || echo "== the tests of what is missing are left out =="
	@$(BIN)/python -m pytest -q $(or $(ARGS),-n 3)

hosts: setup $(VENV)/hosts/.ready  ## Claude Code, Codex and Gemini CLI with a scripted model, without an account (a gigabyte from npm; five minutes)
	@WS_MCP_HOSTS=1 sh tests/hosts/alone $(BIN)/python -m pytest -v $(or $(ARGS),tests/hosts)
	@echo "== what the models called and were shown: build/hosts =="

check: setup  ## format, lint, types, import contracts, Go vet and race tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/basedpyright
	@$(BIN)/lint-imports
	@GOFMT="$$($(BIN)/go env GOROOT)/bin/gofmt"; OUT="$$($$GOFMT -l execd)"; test -z "$$OUT" || { echo "not in gofmt form: $$OUT"; exit 1; }
	@cd execd && $(GO_ENV) CGO_ENABLED=0 ../$(BIN)/go vet ./...
	@cd execd && $(GO_ENV) CGO_ENABLED=1 ../$(BIN)/go test -race ./...

bench: setup  ## ratios against the alternatives, as a table (needs a container engine)
	@$(BIN)/python -m tests.bench

bench-peers: setup  ## we and our peers with the same steps, as a table: those that PyPI and npm have, installed into .peers (700 MB)
	@$(BIN)/python -m tests.bench.peers install
	@$(if $(filter 0,$(shell id -u)),bash .ci/with-engine) $(BIN)/python -m tests.bench.peers measure $(ARGS)

# Parts of the soak, each with a target of its own below. A part that fails does not keep the next one from running.
PARTS ?= simulation faults kills load
TAKES_simulation = $(SOAK_MINUTES) minutes
TAKES_faults = about 10 minutes
TAKES_kills = about 25 minutes
TAKES_load = $(LOAD_MINUTES) minutes of mixed work, and about 6 of the rest
SOAK_MINUTES ?= 10
LOAD_MINUTES ?= 20
SOAK_FIRST ?= $(shell date +%s)
WITH_LONG_FORMS = tests/security/test_t02_walls.py \
    $(addprefix tests/end_to_end/test_,engine_crashes.py engine_faults.py kill_provision.py ends.py)
WITH_ENGINE = $(if $(filter 0,$(shell id -u)),bash .ci/with-engine)

soak: setup  ## everything that takes long: simulation, faults, kills, load (an hour); PARTS=load for one; docs/soak.md
	@FAILED=; BEGAN=$$(date +%s); \
	$(foreach part,$(PARTS),echo "== soak: $(part), $(TAKES_$(part)) =="; \
	$(MAKE) --no-print-directory soak-$(part) || FAILED="$$FAILED $(part)"; \
	echo "== soak: $(part) is over, $$(( ($$(date +%s) - BEGAN) / 60 )) min since the beginning ==";) \
	test -z "$$FAILED" || { echo "== soak: not everything held:$$FAILED =="; exit 1; }

soak-simulation: setup
	@cd tests && PYTHONPATH=.:../src ../$(BIN)/python -W ignore -m simulation.run --minutes $(SOAK_MINUTES) --first $(SOAK_FIRST)

soak-faults: setup
	@WS_MCP_SOAK=1 $(BIN)/python -m pytest -q --timeout 7200 $(or $(ARGS),tests/simulation tests/core/test_state_damage.py tests/core/placement/test_crashes.py tests/core/policy/test_narrowing.py)

soak-kills: setup
	@$(WITH_ENGINE) env -C tests PYTHONPATH=.:../src $(CURDIR)/$(BIN)/python -W ignore -m kills.run $(if $(WRITE),--write)
	@WS_MCP_SOAK=1 $(WITH_ENGINE) $(BIN)/python -m pytest -q --timeout 7200 $(WITH_LONG_FORMS)
	@WS_MCP_SOAK=1 $(WITH_ENGINE) $(BIN)/python -m pytest -q --timeout 7200 -m long

soak-load: setup
	@$(WITH_ENGINE) $(BIN)/python -m tests.load $(if $(findstring --quick,$(ARGS)),,--minutes $(LOAD_MINUTES)) $(if $(WRITE),--write) $(ARGS)

format: setup  ## put the code into our format
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

fuzz: setup  ## fuzzing, long; FUZZ_CASES (default 20000) says how many cases each fuzzer tries, FUZZ_SEED where it begins; then a million steps of reused pids
	@FUZZ_CASES=$${FUZZ_CASES:-20000} FUZZ_SEED=$${FUZZ_SEED:-$$(date +%s)} $(BIN)/python -m pytest -q --timeout 7200 $(or $(ARGS),tests/fuzz)
	@cd execd && $(GO_ENV) CGO_ENABLED=0 REUSE_STEPS=1000000 ../$(BIN)/go test -count=1 -run TestNoSignalReachesAnother .

snapshots: setup  ## accept changed tool schemas and docs
	@UPDATE_SNAPSHOTS=1 $(BIN)/python -m pytest -q tests/tools tests/edge tests/test_docs.py

clean:  ## remove what setup made
	rm -rf $(VENV) src/ws_mcp/_execd
