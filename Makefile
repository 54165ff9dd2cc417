# Everything a person or CI does with Econode; `make` lists it. Needs Python 3.11 to 3.13 with venv.
.SUFFIXES:
.NOTPARALLEL:
.PHONY: help setup setup-dev setup-market test test-full lint types api-test browser-test check devnet bench sim-nightly market-nightly fuzz-nightly lock debian-test image-test clean alerts-check

BIN = .venv/bin
ARGS =
ON_TWO = -n 2 --dist loadfile

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

setup: .venv/project.stamp ## Make .venv with the locked dependencies and the command econode
	@:

setup-dev: .venv/project.stamp .venv/dev.stamp ## The same, with the tools for tests and checks
	@:

setup-market: .venv/project.stamp .venv/market.stamp ## The same as setup, with the solver CP-SAT for auctions of bundles
	@:

# Each stamp is written last: an interrupted step leaves none and is done anew.
.venv/run.stamp: requirements/build.lock requirements/requirements.lock
	@sh requirements/install.sh run
	@touch $@

.venv/dev.stamp: .venv/run.stamp requirements/requirements-dev.lock
	@sh requirements/install.sh dev
	@touch $@

.venv/market.stamp: .venv/run.stamp requirements/requirements-market.lock
	@sh requirements/install.sh market
	@touch $@

.venv/browser.stamp: .venv/dev.stamp requirements/requirements-browser.lock
	@sh requirements/install.sh browser
	@touch $@

.venv/project.stamp: .venv/run.stamp pyproject.toml
	@sh requirements/install.sh project
	@touch $@

test: setup-dev ## Run the tests; ARGS="-k word" chooses
	@$(BIN)/python -m pytest $(ON_TWO) -m "not full" $(ARGS)

test-full: setup-dev ## Run the tests, the long ones too
	@$(BIN)/python -m pytest $(ON_TWO) $(ARGS)

lint: setup-dev ## Check style and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

browser-test: setup-dev .venv/browser.stamp ## Test the dashboard in a headless Chromium, if the system has one
	@$(BIN)/python -m pytest tests/browser $(ARGS)

api-test: setup-dev ## Ask the local API more than 2,000 made-up requests; ECONODE_API_CASES sets how many
	@$(BIN)/python -m pytest -s tests/api/test_contract.py $(ARGS)

types: setup-dev ## Check types
	@$(BIN)/mypy

check: test lint types ## Tests, style and types

devnet: setup ## Run the main job on a local network; ARGS="--nodes 7 --exit"
	@$(BIN)/econode devnet $(ARGS)

bench: setup ## Measure; ARGS="limits"
	@$(BIN)/econode bench $(ARGS)

sim-nightly: setup ## Simulate all night: seeds, Twins scenarios, defects; ends with 1 at a violation
	$(BIN)/econode sim run --seeds 20000 --jobs 2 $(ARGS)
	@for nodes in 5 6 7 10; do \
	    $(BIN)/econode sim run --seeds 3000 --nodes $$nodes --jobs 2 $(ARGS) || exit 1; done
	$(BIN)/econode sim twins --scenarios 200000 --jobs 2 $(ARGS)
	$(BIN)/econode sim defects --jobs 2 $(ARGS)

market-nightly: setup ## Put the market on trial: 5,000 seeds, then every defect
	$(BIN)/econode sim market --seeds 5000 --jobs 2 $(ARGS)
	$(BIN)/econode sim market --defects --jobs 2 $(ARGS)

fuzz-nightly: setup-dev ## A million mutated messages of anti-entropy
	ECONODE_FUZZ_MESSAGES=1000000 $(BIN)/python -m pytest tests/crdt/test_fuzz.py $(ARGS)

lock: ## Resolve requirements/*.in into the locks; ARGS=--upgrade lifts pins
	@sh requirements/lock.sh $(ARGS)

alerts-check: ## Check and test docs/alerts.yml with Prometheus' promtool, if it is there
	@if command -v promtool >/dev/null; then \
	    promtool check rules docs/alerts.yml && promtool test rules docs/alerts.test.yml; \
	else echo "SKIPPED: alerts-check: no promtool (Debian: the package prometheus)"; \
	    test -z "$$REQUIRE_ALL"; fi

debian-test: ## Test and devnet in a bare Debian root (needs root and debootstrap)
	@bash .ci/bare-debian

image-test: ## Build the image and run four containers (needs root, buildah, podman and debootstrap)
	@bash .ci/image-test

clean: ## Remove .venv and what the tools left
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist ./*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
