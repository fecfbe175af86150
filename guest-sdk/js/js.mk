# JavaScript: the engine is compiled once, by clang and cargo; Node.js puts each module into it. Included by the Makefile.

js_sdk := guest-sdk/js
js_engine := $(js_sdk)/dist/engine.wasm
js_target := $(abspath $(target))/js
js_out := $(target)/wasm32-wasip2/guest
js_ready := $(js_sdk)/node_modules/.ready tests/guests/js/node_modules/.ready
js_cargo = cd $(js_sdk)/engine && cargo
js_flags := --locked --target wasm32-unknown-unknown --target-dir $(js_target)
js_modules := $(patsubst examples/%/js/workflow.ts,$(js_out)/js_%.wasm,$(wildcard examples/*/js/workflow.ts)) \
    $(patsubst tests/guests/js/%.ts,$(js_out)/js_%.wasm,$(wildcard tests/guests/js/*.ts))
js_builder := $(js_engine) $(js_sdk)/node_modules/.ready $(wildcard $(js_sdk)/src/*) $(wildcard $(js_sdk)/build/*)

.PHONY: js js-setup js-lint

js: js-setup $(js_modules) ## The engine for JavaScript, and the components that are made with it

js-setup: $(js_ready)
	@rustup target list --installed | grep -qx wasm32-unknown-unknown || rustup target add wasm32-unknown-unknown
	@{ command -v clang-19 && command -v llvm-ar-19; } >/dev/null \
	    || { apt-get update -qq && apt-get install -y -qq --no-install-recommends clang-19 llvm-19; }

%/node_modules/.ready: %/package-lock.json
	@command -v npm >/dev/null || { echo "install Node.js, version 20 or later, with npm"; exit 1; }
	npm ci --prefix $* --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

$(js_engine): $(wildcard $(js_sdk)/engine/src/*.rs) $(js_sdk)/engine/Cargo.toml $(js_sdk)/engine/Cargo.lock $(wildcard wit/*.wit) | js-setup
	$(js_cargo) build $(js_flags) --profile guest
	@mkdir -p $(@D)
	cp $(js_target)/wasm32-unknown-unknown/guest/mainspring_js_engine.wasm $@

$(js_out)/js_%.wasm: examples/%/js/workflow.ts $(js_builder)
	@mkdir -p $(@D)
	node $(js_sdk)/build/main.mjs $< -o $@

$(js_out)/js_%.wasm: tests/guests/js/%.ts $(wildcard tests/guests/js/*/*.ts) $(js_builder)
	@mkdir -p $(@D)
	node $(js_sdk)/build/main.mjs $< -o $@

# The types of the SDK, and that everything here which is written with them fits.
js-lint: js-setup
	$(js_cargo) fmt --check
	$(js_cargo) clippy $(js_flags) --profile guest -- -D warnings
	cd $(js_sdk) && node_modules/.bin/tsc --project . && node_modules/.bin/tsc --project tsconfig.users.json
