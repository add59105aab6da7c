# Everything that a contributor runs. A fresh clone needs Node, npm and make: Bun comes with `npm ci`.
#
# What was made is remembered by the files themselves and one stamp, so a second `make run` starts at once.

BUN := node_modules/.bin/bun
# Tests make thousands of cores, one after the other. JavaScriptCore collects all garbage for each one beyond so many.
MANY_CORES := BUN_JSC_maxNumWasmFastMemories=64
VITEST := $(MANY_CORES) $(BUN) --bun node_modules/.bin/vitest run
INSTALLED := node_modules/.installed

SERVER_SOURCES := $(shell find server -name '*.ts' -o -name '*.html') package.json tsconfig.json
CORE_SOURCES := $(shell find core-wasm/assembly -name '*.ts') core-wasm/asconfig.json

# `make build TARGET=linux-arm64` makes dist/cairn-linux-arm64, else the executable is for this machine.
TARGETS := linux-x64 linux-arm64 darwin-x64 darwin-arm64
TARGET ?=
# `make fuzz TARGET=resp` means a fuzzer.
ifneq ($(filter fuzz,$(MAKECMDGOALS)),)
FUZZED := $(TARGET)
override TARGET :=
endif
ifneq ($(TARGET),)
ifeq ($(filter $(TARGET),$(TARGETS)),)
$(error TARGET is '$(TARGET)', but must be one of: $(TARGETS))
endif
endif
EXECUTABLE := dist/cairn$(if $(TARGET),-$(TARGET))

# The executable must not read a bunfig.toml or .env that lies where it is started.
COMPILE_FLAGS := --compile --minify --no-compile-autoload-bunfig --no-compile-autoload-dotenv \
	$(if $(TARGET),--target=bun-$(TARGET))

TEST ?=
ARGS ?=
EVENTS ?= 1_000_000
SECONDS ?=
SEED ?=
CASES ?=
ONLY ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test build core check bench bench-growth fuzz mutants clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

run: dist/cairn ## build what is missing and start the server on ./data (ARGS="--strict": more flags)
	@echo "Append one event from another terminal, and read it back:"
	@echo "  redis-cli -p 9090 EAPPEND user-1 UserRegistered PAYLOAD '{\"email\":\"alice@example.com\"}'"
	@echo "  redis-cli -p 9090 ESCAN user-1 - +"
	@exec dist/cairn serve --data ./data $(ARGS)

test: dist/cairn ## build what is missing and run every test (TEST=test/config.test.ts: that file alone)
	@$(VITEST) --reporter=default --reporter=json --outputFile.json=dist/test-report.json $(TEST)

build: $(EXECUTABLE) ## make dist/cairn, or for another machine: TARGET=linux-arm64, darwin-arm64, linux-x64
	@echo "$(EXECUTABLE)"

core: dist/core.wasm ## compile the AssemblyScript core

check: $(INSTALLED) dist/core.wasm ## format, lint, types, compiler warnings, dead code, direction of imports
	@node_modules/.bin/biome ci --colors=off
	@node_modules/.bin/tsc
	@node_modules/.bin/knip
	@$(VITEST) test/imports.test.ts

bench: dist/cairn ## measure, beside Redis where it is installed, and write the table into bench/README.md
	@$(BUN) bench/main.ts $(ARGS)

bench-growth: dist/cairn ## fill one store and measure on the way: EVENTS=100_000_000 (40 GB)
	@EVENTS=$(EVENTS) $(BUN) bench/growth.ts

fuzz: dist/cairn ## crash, fail and feed it at random: SECONDS=60, TARGET=one, SEED=replays, CASES=at most
	@$(MANY_CORES) $(BUN) test/fuzz/main.ts --seconds=$(SECONDS) --target=$(FUZZED) --seed=$(SEED) --cases=$(CASES)

mutants: dist/core.wasm ## plant bugs in a copy of the sources and show that tests catch each (ONLY="words of a name")
	@$(MANY_CORES) $(BUN) test/mutants/main.ts --only="$(ONLY)"

clean: ## remove everything that was made, the data folder excepted
	rm -rf dist node_modules

$(INSTALLED): package-lock.json
	npm ci --no-audit --no-fund
	@$(BUN) --version >/dev/null 2>&1 || node node_modules/bun/install.js # where npm runs no install scripts
	@touch $@

# A warning of the compiler is an error. The file is renamed into place whole, for tests that read it meanwhile.
dist/core.wasm: $(CORE_SOURCES) $(INSTALLED)
	@mkdir -p dist
	@node_modules/.bin/asc --config core-wasm/asconfig.json --outFile dist/core.new.wasm >dist/asc.log 2>&1 \
		&& ! grep -q WARNING dist/asc.log || { cat dist/asc.log >&2; rm -f dist/core.new.wasm; exit 1; }
	@mv dist/core.new.wasm $@

# The worker is an entry point beside main.ts, by whose folder it is named.
$(EXECUTABLE): $(SERVER_SOURCES) dist/core.wasm
	@$(BUN) build $(COMPILE_FLAGS) --outfile=$@ server/main.ts server/index/index-worker.ts >/dev/null
