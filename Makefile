# Everything here may be run again at any time; what is up to date costs next to nothing.
#
#   make demo      the order workflow, from nothing to its result
#   make examples  that and all other examples, one idea each
#   make test      all checks: formatting, lints, unit, doc and end-to-end tests
#   make bench     Mainspring beside the Temporal dev server, in one run

.DEFAULT_GOAL := help
.PHONY: help demo examples test build guests lint test-rust test-e2e test-all bench setup clean-demo
SHELL := /bin/bash

target := $(or $(CARGO_TARGET_DIR),target)
python := .venv/bin/python
pytest := $(python) -m pytest --rootdir tests -c tests/pytest.ini
# The same selection everywhere, so that cargo settles on one set of features and compiles each dependency once.
workspace := --workspace --locked
# Guests are the members that make nothing but a component.
guests := $(addprefix -p ,$(shell sed -n 's/^name = "\(.*\)"/\1/p' examples/*/rust/Cargo.toml examples/*/rust/*/Cargo.toml tests/guests/*/Cargo.toml runtime/sandbox/tests/puppet/Cargo.toml))
components := $(target)/wasm32-wasip2/guest
python_sdk := $(shell find guest-sdk/python -name '*.py') $(wildcard wit/*.wit)
python_guests := $(components)/python_features.wasm $(patsubst examples/%/python/workflow.py,$(components)/example_%_python.wasm,$(wildcard examples/*/python/workflow.py))

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

demo: build guests ## The order workflow: server, module, activity worker, client
	@$(python) examples/order/demo.py

examples: build guests ## All examples: order, saga, human approval, fan-out, polling, subscription, cancellation, patching
	@$(python) examples/run.py

test: lint test-rust test-e2e examples ## Everything that CI runs

test-all: export E2E_FULL = 1
test-all: test ## The same, with every crash and power cut (50 and 20) instead of a few

lint: setup ## Formatting and clippy, warnings denied, for the host and for the guests
	cargo fmt --all --check
	cargo clippy $(workspace) --all-targets -- -D warnings
	cargo clippy $(guests) --locked --target wasm32-wasip2 --profile guest -- -D warnings

test-rust: setup guests ## Unit, integration and doc tests
	cargo test $(workspace)

test-e2e: build guests ## The real binary with the official SDK and the temporal CLI
	$(pytest) tests

bench: setup guests ## Mainspring beside the Temporal dev server, the store and the sandbox
	cargo build --release $(workspace) --bins --examples
	E2E_PROFILE=release $(python) tests/bench/bench.py
	$(target)/release/examples/commit_bench
	$(target)/release/examples/sandbox_bench

build: setup ## The server
	cargo build $(workspace)

guests: setup $(python_guests) ## The wasm components
	cargo build $(guests) --locked --target wasm32-wasip2 --profile guest

# componentize-py starts an interpreter and takes its picture, which is not the same twice: so only what has changed is
# built again, or every build would make new modules of old workflows.
$(components)/example_%_python.wasm: examples/%/python/workflow.py examples/order/python/worker.py $(python_sdk) | setup
	@mkdir -p $(@D)
	$(python) guest-sdk/python/build.py $< -o $@

$(components)/python_features.wasm: $(wildcard tests/guests/python/*.py) $(python_sdk) | setup
	@mkdir -p $(@D)
	$(python) guest-sdk/python/build.py $(addprefix tests/guests/python/,steps.py messages.py facts.py) -o $@

setup: .venv/ready ## The wasm target, rustfmt, clippy and the virtual environment
	@rustup target list --installed | grep -qx wasm32-wasip2 || rustup target add wasm32-wasip2
	@installed="$$(rustup component list --installed)"; for component in rustfmt clippy; do \
	    grep -q "^$$component" <<<"$$installed" || rustup component add $$component; done

.venv/ready: tests/requirements.txt examples/order/python/requirements.txt guest-sdk/python/requirements.txt
	python3 -m venv .venv
	$(python) -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	@touch $@

clean-demo: ## Forget what the demo's server has stored
	rm -rf .demo
