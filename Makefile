# `make demo` is the short way in. Everything is done by python -m berth_dev; this file names it.
# K8S=1.34.4 chooses another Kubernetes; CLUSTER=existing|kind another kind of cluster.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
UV_VERSION := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
# Without compiled files each start of a program reads its libraries' sources, which takes twice as long.
export PYTHONDONTWRITEBYTECODE :=
SLOT := $(filter-out 0,$(BERTH_SLOT))
CLUSTER_ENV := .berth/$(if $(SLOT),slot-$(SLOT)/)env
# Says which tree it was that a long run tried.
PRODUCT := $(BIN)/python tests/support/product.py
# Names each test, as the gate's reports do.
REPORT := -p berth_dev.gate.plugin -o junit_family=xunit1 -o junit_duration_report=call --junitxml=.berth/changed.xml
OUTSIDE := nsenter --net=/run/netns/berth$(SLOT)-outside-110

.PHONY: help
help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: venv
venv: $(VENV)/.synced ## the Python environment, as uv.lock says

$(VENV)/.synced: pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Berth needs Python 3.11 or later: set PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || apt-get install -qq -y python3-venv >/dev/null \
	  || { echo "python3 has no venv module: install python3-venv" >&2; exit 1; }
	@test -x .berth-tools/bin/uv && .berth-tools/bin/uv --version | grep -qF ' $(UV_VERSION)' || { \
	  $(PYTHON) -m venv --clear .berth-tools && .berth-tools/bin/python -m pip install -q uv==$(UV_VERSION); }
	@.berth-tools/bin/uv sync -q --frozen --compile-bytecode --python $(PYTHON)
	@touch $@

.PHONY: up
up: venv ## the cluster with Berth and samples; writes .berth/env
	@$(BIN)/python -m berth_dev up

.PHONY: down
down: venv ## remove the cluster and all that belongs to it
	@$(BIN)/python -m berth_dev down

.PHONY: demo
demo: up ## a tour of the main job, step by step
	@$(BIN)/python -m berth_dev demo

.PHONY: test
test: lint ## the gate: what a change must pass; some failures are tried twice
	@$(BIN)/python -m berth_dev prepare
	@$(BIN)/python -m berth_dev gate

.PHONY: test-all
test-all: lint ## every test, from unit to end-to-end, with fresh seeds and exact bounds (SEED=1)
	@$(BIN)/python -m berth_dev prepare
	@$(BIN)/python -m berth_dev gate --all

.PHONY: spec
spec: venv ## explore the lease protocol exhaustively, all cases; some minutes
	@$(BIN)/python -m berth_dev spec
	@spec/target/release/berth-spec check

.PHONY: test-fuzz
test-fuzz: venv ## parsers, schemas against models, and 20,000 requests, with a new seed each time (FUZZ_SECONDS=600 FUZZ_OBJECTS=10000 FUZZ_SEED=1)
	@$(BIN)/python -m berth_dev prepare
	@export SUITE=all FUZZ_SECONDS=$${FUZZ_SECONDS:-600} FUZZ_REQUESTS=$${FUZZ_REQUESTS:-20000} \
	  FUZZ_OBJECTS=$${FUZZ_OBJECTS:-10000} FUZZ_SEED=$${FUZZ_SEED:-$$RANDOM}; echo "FUZZ_SEED=$$FUZZ_SEED"; \
	  $(BIN)/pytest --timeout 0 tests/fuzz tests/envtest/core/test_schemas.py; \
	  $(BIN)/pytest -s tests/envtest/api/test_openapi.py

.PHONY: test-abuse
test-abuse: venv ## an hour of the worst client: what it makes the store, memory and other users bear (ABUSE_SECONDS=3600)
	@$(BIN)/python -m berth_dev prepare
	@SUITE=all ABUSE_SECONDS=$${ABUSE_SECONDS:-3600} $(BIN)/pytest -s tests/abuse

.PHONY: test-faults
test-faults: venv ## a kill and a pause at every write, 1,000 random histories with faults; about an hour and a half (FAULTS_SEED=1)
	@$(BIN)/python -m berth_dev prepare
	@export SUITE=all; FAULTS=long FAULTS_SEED=$${FAULTS_SEED:-$$RANDOM} $(BIN)/pytest -n 3 --dist loadfile tests/faults tests/envtest/api/test_read_your_writes.py
	@SUITE=all FAULTS=long FAULTS_LEASES=50 $(BIN)/pytest tests/e2e/test_two_hands.py tests/e2e/test_lost_nodes.py \
	  tests/e2e/test_ci.py::test_many_builds_at_once_run_five_at_a_time_and_each_script_once

.PHONY: test-devices
test-devices: venv ## the driver for devices, on the two-node cluster with real kubelets (K8S=1.34.4 for the oldest)
	@$(BIN)/python -m berth_dev prepare
	@$(BIN)/pytest --durations=5 tests/e2e/test_devices.py tests/e2e/test_machine_devices.py

.PHONY: prove-store
prove-store: venv ## the fake store of tests/sim against a real API server, with a new seed each time (REQUESTS=100000 SEED=1)
	@$(BIN)/python -m berth_dev prepare
	@REQUESTS=$${REQUESTS:-100000} SEED=$${SEED:-$$RANDOM} $(BIN)/pytest -s tests/sim/test_store.py

.PHONY: apiserver
apiserver: venv ## an API server that is kept until Ctrl-C, so that one test of tests/envtest takes 3–5 s
	@echo "BERTH_ENVTEST=.berth/apiserver/admin.kubeconfig $(BIN)/pytest FILE -k NAME, once the server's path is here:"
	@$(BIN)/python -m berth_dev apiserver --dir .berth/apiserver

.PHONY: check
check: venv ## what a change must pass first: format, lint, types, unit tests; under a minute, without root
	@$(BIN)/ruff format --check . && $(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo >/dev/null || $(BIN)/lint-imports
	@$(BIN)/python -m berth_dev prose
	@$(BIN)/codespell $$(git ls-files)
	@$(BIN)/pytest -q -n auto --dist loadfile --hypothesis-profile quick -m 'not alone and not thorough' tests/unit

.PHONY: fmt
fmt: venv ## format the code, and mend what ruff can mend
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

.PHONY: unit
unit: venv ## all unit tests
	@$(BIN)/pytest -q -n auto --dist loadfile tests/unit

.PHONY: watch
watch: venv ## unit tests again at each change of a file (TESTS=tests/unit/core)
	@$(BIN)/watchfiles --filter python '$(BIN)/pytest -q -x -m "not thorough" $(or $(TESTS),tests/unit)' .

.PHONY: test-changed
test-changed: venv ## tests of tests/unit and tests/envtest that a change asks for (BASE=origin/main)
	@$(BIN)/python -m berth_dev prepare
	@rm -f .berth/changed.xml
	@$(BIN)/python -m berth_dev.checks.changed $(or $(BASE),HEAD) | xargs -r $(BIN)/pytest -q -n auto --dist loadfile -m 'not release' $(REPORT)
	@test ! -f .berth/changed.xml || $(BIN)/python -m berth_dev.checks.durations --new .berth/changed.xml

.PHONY: durations
durations: venv ## take the seconds of each test file from the last make test, into tests/durations.json
	@$(BIN)/python -m berth_dev.checks.durations

.PHONY: test-steady
test-steady: venv ## make test six times on one tree, two of them beside a busy core; goes on where it was interrupted (TIMES=6)
	@$(BIN)/python -m berth_dev steady --times $(or $(TIMES),6)

.PHONY: lint
lint: venv ## ruff, mypy, import-linter, sentences and spelling, the site, helm lint, generated files
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m berth_dev prose
	@$(BIN)/codespell $$(git ls-files)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@$(BIN)/python -m berth_dev lint

.PHONY: docs
docs: venv ## the site of the documentation, into .berth/site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

.PHONY: generate
generate: venv ## write generated files: CRDs, pages of the API and the command line, requirements
	@$(BIN)/python -m berth_dev generate

.PHONY: bench
bench: up ## measure how long a lease's steps take (RUNS=100), and the API under load
	@source $(CLUSTER_ENV); berth token create --user bench --expires 1d 2>/dev/null \
	  | $(OUTSIDE) $(BIN)/python bench/lease.py --runs $${RUNS:-100}
	@$(BIN)/python -m bench.api

.PHONY: bench-expiry
bench-expiry: venv ## measure 1,000 leases that end at the same moment (LEASES=1000), without the two-node cluster
	@$(BIN)/python -m bench.expiry --leases $${LEASES:-1000}

.PHONY: bench-warm
bench-warm: up ## measure leases of pods that are kept warm, over HTTP and of Instances made with kubectl (RUNS=60, BURST=40)
	@source $(CLUSTER_ENV); token=$$(berth token create --user bench --expires 1d 2>/dev/null); \
	  for how in "--runs $${RUNS:-60}" "--runs 0 --kubectl"; do \
	  $(OUTSIDE) $(BIN)/python -m bench.warm --burst $${BURST:-40} $$how <<<"$$token"; done

.PHONY: bench-peer
bench-peer: up ## measure warm pods beside those of kubernetes-sigs/agent-sandbox, with ratios (RUNS=15, BURST=40, HOLD_BACK=3)
	@$(BIN)/python -m berth_dev peer
	@source $(CLUSTER_ENV); berth token create --user bench --expires 1d 2>/dev/null \
	  | $(OUTSIDE) $(BIN)/python -m bench.peer --runs $${RUNS:-15} --burst $${BURST:-40} --hold-back $${HOLD_BACK:-3}

.PHONY: bench-network
bench-network: up ## measure how soon a firewall obeys (RUNS=200), with networkPolicy.sources: any and exact
	@source $(CLUSTER_ENV); switch() { helm upgrade berth charts/berth -n berth --reuse-values \
	    --wait --set networkPolicy.sources=$$1 >/dev/null; }; trap 'switch any' EXIT; \
	  for sources in exact any; do switch $$sources; berth token create --user bench --expires 1d 2>/dev/null \
	  | $(OUTSIDE) $(BIN)/python -m bench.network --title "sources: $$sources" \
	    --runs $${RUNS:-200}; done

.PHONY: bench-api
bench-api: venv ## measure the API under load only, without the two-node cluster
	@$(BIN)/python -m bench.api

.PHONY: bench-leases
bench-leases: venv ## measure leases with many deployments, without the two-node cluster: grants, whole lives, the operator's start
	@$(BIN)/python -m berth_dev prepare
	@$(BIN)/python -m bench.leases

.PHONY: prove
prove: venv ## play simulated histories of the real code (HISTORIES=100 SEED=1 SET=core|full|any|terms|calls|queue|machines|d1|late|pause|marked|dead|slip FAULTS=…), or show one (HISTORY=7, SHRINK=1)
	@trap '$(PRODUCT)' EXIT; $(BIN)/python -m tests.sim

.PHONY: prove-mutants
prove-mutants: venv ## how many histories find each deliberate mistake in the real code and write docs/explanation/mutants.md (HISTORIES=2000 each, MINUTES=40 in all, JOBS=2, MUTANTS=0,5)
	@trap '$(PRODUCT)' EXIT; WRITE=1 $(BIN)/python -m tests.sim mutants
