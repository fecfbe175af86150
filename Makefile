# Everything here may be run again at any time; what is up to date costs next to nothing.
#
#   make demo      the order workflow, from nothing to its result
#   make examples  that and all other examples, one idea each
#   make test      all checks: formatting, lints, unit, doc and end-to-end tests
#   make bench     Mainspring beside the Temporal dev server, in one run

.DEFAULT_GOAL := help
.PHONY: help demo examples test build server guests guests-rust guests-go lint test-rust test-go test-e2e test-all bench bench-languages bench-neighbours fuzz fuzz-keep setup languages clean-demo
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

# No Go module is taken from elsewhere. A file that is unformatted or suspicious fails here, wherever it is.
go := GOTOOLCHAIN=local GOPROXY=off GOFLAGS=-mod=mod $(CURDIR)/.venv/bin/go
go_modules := $(dir $(wildcard guest-sdk/go/go.mod guest-sdk/go/api/go.mod examples/*/go/go.mod tests/guests/go/go.mod))
include guest-sdk/js/js.mk
c_guests := $(patsubst examples/%/c/workflow.c,$(components)/example_%_c.wasm,$(wildcard examples/*/c/workflow.c))

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

demo: build guests-rust ## The order workflow: server, module, activity worker, client
	@$(python) examples/order/demo.py

examples: build guests-rust ## All examples: order, saga, human approval, fan-out, polling, subscription, cancellation, patching
	@$(python) examples/run.py

test: lint test-rust test-go test-e2e examples ## Everything that CI runs

test-all: export E2E_FULL = 1
test-all: test ## The same, with every crash and power cut (50 and 20) instead of a few

lint: setup js-lint ## Formatting and clippy, warnings denied, for the host and for the guests
	cargo fmt --all --check
	cargo clippy $(workspace) --all-targets -- -D warnings
	cargo clippy $(guests) --locked --target wasm32-wasip2 --profile guest -- -D warnings

test-rust: guests ## Unit, integration and doc tests
	cargo test $(workspace)

test-go: languages ## The Go SDK and the guests that are written in it: formatting, vet, unit tests
	@unformatted="$$($$($(go) env GOROOT)/bin/gofmt -l $(go_modules))"; test -z "$$unformatted" || { echo "gofmt: $$unformatted"; exit 1; }
	@for module in $(go_modules); do (cd $$module && $(go) vet ./... && GOOS=wasip1 GOARCH=wasm $(go) vet -unsafeptr=false ./...) || exit 1; done
	cd guest-sdk/go && $(go) test ./...

test-e2e: guests ## The real binary with the official SDK and the temporal CLI
	$(pytest) tests

bench: guests ## Mainspring beside the Temporal dev server, the store and the sandbox
	cargo build --release $(workspace) --bins --examples
	E2E_PROFILE=release $(python) tests/bench/bench.py
	$(target)/release/examples/commit_bench
	$(target)/release/examples/sandbox_bench

bench-languages: guests ## The order workflow in each guest language, side by side
	cargo build --release $(workspace) --bins --examples
	E2E_PROFILE=release $(python) tests/bench/languages.py

# On the stable toolchain, and with the dependencies that are built already. See fuzz/README.md.
TIME ?= 60
FUZZ ?= $(sort $(basename $(notdir $(wildcard fuzz/targets/*.rs))))
fuzz: export FUZZER_RUNTIME = $(firstword $(wildcard /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-$(shell uname -m).a))
fuzz: export RUSTC_WORKSPACE_WRAPPER = $(CURDIR)/fuzz/instrument.sh
fuzz: ## Every door for bytes of strangers, TIME seconds each (60)
	@test -n "$$FUZZER_RUNTIME" || { echo "libFuzzer is missing; install it as root: apt-get install libclang-rt-19-dev" >&2; exit 1; }
	cargo build $(workspace) --features mainspring-fuzz/fuzz $(addprefix --bin fuzz_,$(FUZZ))
	@for door in $(FUZZ); do echo "== $$door"; mkdir -p fuzz/artifacts/$$door; \
	    test -d fuzz/corpus/$$door || { mkdir -p fuzz/corpus/$$door; \
	        tar -xzf fuzz/corpora/$$door.tar.gz -C fuzz/corpus/$$door || exit 1; }; \
	    nice -n 19 $(target)/debug/fuzz_$$door fuzz/corpus/$$door $$(ls -d fuzz/seeds/$$door 2>/dev/null) \
	        $$(test $$door != history || echo runtime/api/tests/histories) -artifact_prefix=fuzz/artifacts/$$door/ \
	        -max_total_time=$(TIME) -timeout=25 -rss_limit_mb=2048 -print_final_stats=1 || exit 1; done

# What was found, less what adds nothing, for the next one who searches.
fuzz-keep:
	@for door in $(FUZZ); do least=$$(mktemp -d); \
	    nice -n 19 $(target)/debug/fuzz_$$door -merge=1 $$least fuzz/corpus/$$door 2>/dev/null || exit 1; \
	    mkdir -p fuzz/corpora; tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C $$least -cf - . \
	        | gzip -9n > fuzz/corpora/$$door.tar.gz; rm -r $$least; done
bench-neighbours: guests ## One tenant's orders alone and beside a hostile tenant; SECONDS=300 says how long
	cargo build --release $(workspace) --bins
	E2E_PROFILE=release $(python) tests/bench/neighbours.py --seconds $(or $(SECONDS),300)

build: setup ## The server
	cargo build $(workspace)

# With all that `mainspring build` needs for every language.
server: languages $(js_engine)
	cargo build $(workspace)

guests: guests-rust guests-go js $(c_guests) $(python_guests) ## The wasm components, in every language

guests-rust: setup ## Those in Rust
	cargo build $(guests) --locked --target wasm32-wasip2 --profile guest

# By the command that users build theirs with.
$(components)/example_%_c.wasm: examples/%/c/workflow.c $(wildcard guest-sdk/c/*.[ch] guest-sdk/c/*/*.[ch] wit/*.wit) | server
	@mkdir -p $(@D)
	$(target)/debug/mainspring build $< -o $@

# componentize-py starts an interpreter and takes its picture, which is not the same twice: so only what has changed is
# built again, or every build would make new modules of old workflows.
$(components)/example_%_python.wasm: examples/%/python/workflow.py examples/order/python/worker.py $(python_sdk) | setup
	@mkdir -p $(@D)
	$(python) guest-sdk/python/build.py $< -o $@

$(components)/python_features.wasm: $(wildcard tests/guests/python/*.py) $(python_sdk) | setup
	@mkdir -p $(@D)
	$(python) guest-sdk/python/build.py $(addprefix tests/guests/python/,steps.py messages.py facts.py) -o $@

guests-go: server ## The examples that are written in Go
	@for example in $(patsubst examples/%/go/go.mod,%,$(wildcard examples/*/go/go.mod)); do \
	    GO=$(CURDIR)/.venv/bin/go $(target)/debug/mainspring build examples/$$example/go \
	        -o $(target)/wasm32-wasip2/guest/example_$${example}_go.wasm > /dev/null || exit 1; done

# Debian's packages that guests need, each after the program that tells whether it is there.
packages := clang-19=clang-19 wasm-ld-19=lld-19 wasm-opt=binaryen

languages: setup js-setup ## The toolchains of the other languages: C's, Go's, JavaScript's
	@missing=""; for pair in $(packages); do command -v $${pair%%=*} >/dev/null || missing="$$missing $${pair#*=}"; done; \
	    if [ -z "$$missing" ]; then :; \
	    elif [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing; \
	    else echo "these packages are missing; install them as root: apt-get install$$missing" >&2; exit 1; fi

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
