# demo: see it run · build: dist/ · test: everything, on real servers · check: what needs no server · bench: the figures
# soak: faults at random for MINUTES (10), or those of one SEED · fuzz: bytes at random against the boundary and the decoder, for MINUTES (5)
# mutants: what the tests of the core don't notice, or of one SHARD (k/n)
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
.PHONY: demo build host plugins test test-without-host lint check bench soak fuzz mutants services services-stop setup clean \
  board-assets board-assets-check board-pictures

SLUICE_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/sluice
CARGO_TARGET_DIR := $(SLUICE_CACHE)/target
PLUGINS_TARGET := $(SLUICE_CACHE)/plugins
WASM := wasm32-unknown-unknown
# An operator is a folder of plugins/ with a crate of the folder's name in it.
OPERATORS := $(filter-out sdk template,$(patsubst plugins/%/Cargo.toml,%,$(wildcard plugins/*/Cargo.toml)))
IN_PLUGINS := --manifest-path plugins/Cargo.toml --target-dir $(PLUGINS_TARGET)
# The tests/ that need no server; `zoo` are two, the runtime's and the whole host's. They are picked from all packages at once,
# not package by package: with other features, half of the dependencies would be built a second time.
SERVERLESS := simulation store zoo golden sqlite kafka_without_broker
FUZZER := $(SLUICE_CACHE)/tools/bin/cargo-fuzz
FUZZER_VERSION := 0.13.2
OXIPNG := $(SLUICE_CACHE)/tools/bin/oxipng
OXIPNG_VERSION := 10.2.1
MUTANTS := $(SLUICE_CACHE)/tools/bin/cargo-mutants
MUTANTS_VERSION := 27.1.0
BOARD_ASSETS := host/sluice/src/board/assets
export SLUICE_CACHE CARGO_TARGET_DIR

demo: build
	dist/sluice demo $${DEMO_SECONDS:+--seconds "$$DEMO_SECONDS"}

build: host plugins

# Files of dist/ are written beside and renamed: a running host watches them, or runs from them.
host: setup
	cargo build --release -p sluice
	@mkdir -p dist
	@cmp -s $(CARGO_TARGET_DIR)/release/sluice dist/sluice \
	  || { cp $(CARGO_TARGET_DIR)/release/sluice dist/.sluice.new && mv dist/.sluice.new dist/sluice; }

plugins: host
	cargo build --release --target $(WASM) $(IN_PLUGINS) $(OPERATORS:%=-p %)
	@mkdir -p dist/operators
	@for name in $(OPERATORS); do \
	  dist/sluice componentize $(PLUGINS_TARGET)/$(WASM)/release/$$name.wasm -o dist/.$$name.new; \
	  if cmp -s dist/.$$name.new dist/operators/$$name.wasm; then rm dist/.$$name.new; \
	  else mv dist/.$$name.new dist/operators/$$name.wasm; fi; \
	done

test: build board-assets-check test-without-host
	tests/services/with cargo test --release

# The oracle's, the check for circles', the SDK's and the operators', which are linked natively.
test-without-host: setup
	python3 tests/oracle/test_oracle.py
	python3 tests/circles/test_circles.py
	cargo test --release --workspace $(IN_PLUGINS)

lint: setup
	python3 tests/circles/circles.py host/*/src
	cargo fmt --all --check
	cargo fmt --all --check --manifest-path plugins/Cargo.toml
	cargo fmt --check --manifest-path tests/e2e/guests/Cargo.toml
	cargo fmt --all --check --manifest-path tests/guests/Cargo.toml
	cargo fmt --check --manifest-path fuzz/Cargo.toml
	cargo clippy --release --workspace --all-targets -- -D warnings
	cargo clippy --release --workspace --all-targets $(IN_PLUGINS) -- -D warnings

check: lint build test-without-host
	cargo test --release --lib --bins $(SERVERLESS:%=--test %)

bench: build
	cargo bench -p sluice-bench --bench decode --bench grouping --bench boundary
	tests/services/with python3 bench/jobs.py
	tests/services/with python3 bench/state.py
	tests/services/with python3 bench/swap.py
	tests/services/with python3 bench/board.py

soak: build
	tests/services/with tests/soak.sh $(or $(MINUTES),10) $(SEED)

# libFuzzer's instrumentation needs flags that only a bootstrapping compiler takes.
fuzz: setup
	@[ -x $(FUZZER) ] || cargo install --quiet --locked --root $(SLUICE_CACHE)/tools cargo-fuzz@$(FUZZER_VERSION)
	cd fuzz && for target in buffers decode; do \
	  PATH="$(dir $(FUZZER)):$$PATH" RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$(SLUICE_CACHE)/fuzz \
	    cargo fuzz run --fuzz-dir . $$target -- -max_total_time=$$((30 * $(or $(MINUTES),5))); \
	done

# What is changed and why the rest isn't: .cargo/mutants.toml. It fails if a change goes unnoticed; tests that go round and round
# have noticed it. Worlds: more find little that hundreds don't, and take their time where nothing is noticed.
mutants: setup
	@[ -x $(MUTANTS) ] || cargo install --quiet --locked --root $(SLUICE_CACHE)/tools cargo-mutants@$(MUTANTS_VERSION)
	@mkdir -p $(SLUICE_CACHE)/mutants
	env -u CARGO_TARGET_DIR PROPTEST_CASES=64 PROPTEST_DISABLE_FAILURE_PERSISTENCE=1 SLUICE_SEEDS=500 PATH="$(dir $(MUTANTS)):$$PATH" \
	  cargo mutants -p sluice-core --timeout 60 $(SHARD:%=--shard %) -o $(SLUICE_CACHE)/mutants || case $$? in 2|3) ;; *) exit 1;; esac
	@! grep . $(SLUICE_CACHE)/mutants/mutants.out/missed.txt

services:
	@tests/services/all.sh start
	@tests/services/all.sh env

services-stop:
	@tests/services/all.sh stop

# The board's pages, which are committed as they are built: only who changes board/ needs Node and npm.
board-assets:
	board/build.sh $(BOARD_ASSETS)

# What is committed is what the sources give, byte for byte.
board-assets-check:
	@built="$$(mktemp -d)" && trap 'rm -rf "$$built"' EXIT && board/build.sh "$$built" && diff -rq "$$built" $(BOARD_ASSETS) \
	  || { echo "board/ and $(BOARD_ASSETS) don't fit together: run make board-assets, and commit what it builds" >&2; exit 1; }

# The README's pictures, taken by the browser test.
board-pictures: build
	@[ -x $(OXIPNG) ] || cargo install --quiet --locked --root $(SLUICE_CACHE)/tools oxipng@$(OXIPNG_VERSION)
	tests/services/browser.sh install
	@taken="$$(mktemp -d)" && trap 'rm -rf "$$taken"' EXIT && mkdir -p docs/images \
	  && SLUICE_PICTURES="$$taken" cargo test --release --test browser everything_has_its_room \
	  && for picture in board-{dark,light}-{wall,phone}; do \
	    $(OXIPNG) --quiet -o max --strip all --out "docs/images/$$picture.png" "$$taken/$$picture.png"; \
	  done

# What rust-toolchain.toml names, also where rustup's automatic installation is off.
setup:
	@cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 \
	  && rustup target list --installed | grep -qx $(WASM) || rustup toolchain install

clean:
	rm -rf dist $(CARGO_TARGET_DIR) $(PLUGINS_TARGET)
