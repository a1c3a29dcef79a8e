# Everything a person types: make up, make down, make test. The rest serves these.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# Hundreds of processes start below: without its cache of bytecode Python would compile all that each imports.
unexport PYTHONDONTWRITEBYTECODE
# What a person's own projects are found by: an `api` or `localstack` there would stand for the monitor's.
unexport PYTHONPATH PYTHONHOME

PYTHON ?= python3
BIN := .venv/bin
GONE := { echo "The Python of .venv is gone: run make .venv, then this again" >&2; exit 1; }

.PHONY: help up down clean .venv compiled lock test tests format lint audit sbom unit exam bench test-faults test-localstack

help: ## Show the commands
	@grep -hE '^[a-z0-9_-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9_-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

up: export SOURCE := $(SOURCE)
up: export SOURCE_MODE := $(SOURCE_MODE)
up: export TICKERS := $(TICKERS)
up: .venv node_modules/.installed ## Bring the whole monitor up on this machine; SOURCE=coinbase for real quotes
	@$(BIN)/python -m stream_infra.cli.start localstack.up

down: ## End it; its data stays
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m stream_infra.cli.start localstack.down; elif [ -e .venv ]; then $(GONE); else echo "Nothing runs."; fi

clean: ## End it and forget its data
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m stream_infra.cli.start localstack.down --forget; elif [ -e .venv ]; then $(GONE); else echo "Nothing to forget."; fi

.venv: .venv/.installed compiled ## Make the Python environment with `stock-monitor` in it

# An environment made in another place, before the folder was moved, or by a Python that is gone, does not work.
STALE := $(shell [ ! -e .venv/.installed ] || { [ -x $(BIN)/python ] && grep -qF "$(CURDIR)/.venv" .venv/pyvenv.cfg .venv/bin/activate 2>/dev/null; } || echo .venv-is-stale)
.PHONY: .venv-is-stale

# uv comes first, by pip and with its hashes from the lock; it then installs the rest in seconds.
.venv/.installed: requirements.lock pyproject.toml $(STALE)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version). Name another: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@echo "Making the Python environment (.venv) …"
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "This Python has no venv module: install it (Debian: apt install python3-venv)" >&2; exit 1; }
	@[ -x $(BIN)/pip -a -z "$(STALE)" ] || $(PYTHON) -m venv --clear .venv
	@awk '/^uv==/ {take=1} take && /^[^ ]/ && !/^uv==/ {take=0} take' requirements.lock > .venv/uv.txt
	@$(BIN)/pip install --quiet --require-hashes --no-deps -r .venv/uv.txt
	@VIRTUAL_ENV=.venv $(BIN)/uv pip install --no-config --require-hashes -r requirements.lock
	@VIRTUAL_ENV=.venv $(BIN)/uv pip install --no-config --quiet --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m localstack.node 2>/dev/null || VIRTUAL_ENV=.venv $(BIN)/uv pip install --no-config --require-hashes -r requirements-node.lock
	@touch $@

# Without a compiler the detectors run as the Python that they are, with the same bits.
compiled: .venv/.installed ## Compile the detectors, for this machine and for AWS
	@$(MAKE) --silent build/compiled/.made || echo "The detectors are not compiled: they run as Python, at a hundredth of the speed." >&2

build/compiled/.made: $(wildcard consumers/detectors/*.py consumers/detectors/engine/*) consumers/stream/columns.c consumers/windows/block.c build/compiler/.installed
	@ZIG_GLOBAL_CACHE_DIR="$(CURDIR)/build/compiler/cache" $(BIN)/python -m consumers.detectors.engine.compiler --compiler build/compiler/bin/python
	@touch $@

# The compiler takes 400 MB: it has an environment of its own, which only a change of the detectors needs again. Its
# cache is there as well: it would be below HOME, which may be unset or not writable.
build/compiler/.installed: requirements-compiler.lock .venv/.installed
	@echo "Installing the compiler of the detectors (build/compiler) …"
	@$(PYTHON) -m venv --clear --without-pip build/compiler
	@VIRTUAL_ENV=build/compiler $(BIN)/uv pip install --no-config --quiet --require-hashes -r requirements-compiler.lock
	@touch $@

# Only the CDK CLI; `npm ci` without --omit=dev adds what the tests of the dashboard need.
node_modules/.installed: package-lock.json .npmrc .venv/.installed
	@echo "Installing the CDK CLI (node_modules) …"
	@$(BIN)/python -m localstack.node npm ci --omit=dev --no-progress --loglevel=error
	@touch $@

lock: .venv ## Pin every dependency anew
	@$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --extra client --extra mcp --extra parquet --extra sql --extra yahoo --extra local --extra dev --no-header --quiet --upgrade pyproject.toml -o requirements.lock
	@echo ziglang | $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --quiet --upgrade - -o requirements-compiler.lock
	@$(BIN)/python -W ignore -m producers.markets.generate
	@npm update --package-lock-only --silent

# What the CDK runs in would compile and collect in threads of its own, for a third more of the processor time.
test tests: export NODE_OPTIONS := $(NODE_OPTIONS) --v8-pool-size=0
test: .venv node_modules/.installed-dev chromium aws-cli ## Run all checks and tests
	@$(MAKE) --jobs=2 lint tests

# The checks of types take a minute and a half of one core: they run beside the tests.
tests:
	@$(BIN)/python -m pytest -n 4 --no-loadscope-reorder -m 'not speed'

format: .venv ## Format the code and mend what the linter can
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix .

lint: .venv node_modules/.installed-dev ## Run the linters and type checkers
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --verbose | tail -n 6
	@$(BIN)/python -m localstack.node npm run --silent types

# Both ask a database of advisories over the network; a dependency that it does not know is an error.
audit: .venv node_modules/.installed ## Look for known vulnerabilities in the pinned dependencies
	@$(BIN)/pip-audit --strict --require-hashes --disable-pip --requirement requirements.lock
	@$(BIN)/python -m localstack.node npm audit --omit=dev

sbom: .venv ## List all dependencies with versions and licences as CycloneDX, in build/
	@mkdir -p build
	@$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-file build/sbom-python.cdx.json .venv
	@$(BIN)/python -m localstack.node npm sbom --sbom-format cyclonedx --package-lock-only > build/sbom-node.cdx.json
	@echo "build/sbom-python.cdx.json, build/sbom-node.cdx.json"

unit: .venv ## Run the tests that need neither the local AWS nor a browser
	@$(BIN)/python -m pytest -m 'not e2e and not browser and not speed'

test-faults: .venv node_modules/.installed-dev ## Send 1,000,000 ticks through a detector whose AWS fails in every way (about 20 minutes)
	@FAULT_TICKS=1000000 $(BIN)/python -m pytest -s tests/consumers/faults

exam: .venv ## Measure the detectors on the exam of ../shared, in lock step
	@$(BIN)/python tests/benchmarks/exam.py $(EXAM_ARGS)

bench: .venv build/peers/.installed ## Time the detector beside what people would pick instead (about 10 minutes)
	@OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 PYTHONPATH=. $(BIN)/python tests/benchmarks/bench.py $(BENCH_ARGS)
	@PYTHONPATH=. $(BIN)/python tests/benchmarks/detection_speed.py
	@$(BIN)/python tests/benchmarks/recordings.py
	@$(BIN)/python -m pytest -m speed
	@PYTHONPATH=. $(BIN)/python tests/benchmarks/dead_channel.py
	@PYTHONPATH=. $(BIN)/python tests/benchmarks/api_speed.py
	@PYTHONPATH=. $(BIN)/python tests/benchmarks/page_speed.py
	@PYTHONPATH=. $(BIN)/python tests/benchmarks/scanner.py 50000
	@PYTHONPATH=. $(BIN)/python tests/browser/measure.py

# The peers have an environment of their own: what they bring is none of the monitor's business.
build/peers/.installed: tests/benchmarks/peers.lock .venv/.installed
	@echo "Installing the peers (build/peers) …"
	@$(PYTHON) -m venv --clear --without-pip build/peers
	@VIRTUAL_ENV=build/peers $(BIN)/uv pip install --no-config --quiet --require-hashes -r tests/benchmarks/peers.lock
	@touch $@

test-localstack: .venv node_modules/.installed ## Run the end-to-end tests on LocalStack (docs/testing.md)
	@$(BIN)/python -m tests.e2e.on_localstack

node_modules/.installed-dev: package-lock.json .npmrc .venv/.installed
	@$(BIN)/python -m localstack.node npm ci --no-progress --loglevel=error
	@touch $@ node_modules/.installed

# The browser tests take Debian's Chromium without a window, which does the same with two thirds of the processor time;
# where it cannot be installed the machine's own, or else Playwright's build.
.PHONY: chromium
chromium:
	@has() { for name in "$$@"; do [ -n "$$name" ] && command -v "$$name" >/dev/null && return 0; done; return 1; }; \
	has "$${CHROMIUM:-}" chromium-headless-shell && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing Chromium without a window for the browser tests …"; \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium-headless-shell >/dev/null; } && exit 0; \
	fi; has chromium chromium-browser google-chrome || $(BIN)/playwright install chromium

# The runbook's test runs its commands with the machine's AWS CLI, version 2; where there is none, those tests fail.
.PHONY: aws-cli
aws-cli:
	@for folder in $${PATH//:/ } /usr/bin; do [ -x "$$folder/aws" ] && "$$folder/aws" --version 2>/dev/null | grep -q '^aws-cli/2' && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing the AWS CLI for the test of the runbook …"; \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends awscli >/dev/null; } && exit 0; \
	fi; echo "The AWS CLI, version 2, is missing: https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html" >&2
