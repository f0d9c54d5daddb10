# Installing builds the native kernels where there is a C++ compiler.
# `make run` starts the demo, `make test` runs the tests; both make .venv when it is missing.

PYTHON ?= python3
# The demo's base: smollm2 (generates) or minilm (an encoder).
BASE ?= smollm2
HOST ?= 127.0.0.1
PORT ?= 8000
# How many cases `make fuzz` runs of each fuzzer.
CASES ?= 60000
# How long `make fuzz-api` and `make soak` go on.
MINUTES ?= 10
# The program that `make dashboard` runs; Debian's package prometheus has it.
PROMETHEUS ?= prometheus
# Where torch comes from; empty means the default index, whose Linux build carries CUDA.
# TORCH_INDEX=https://download.pytorch.org/whl/cpu is a tenth of that size.
TORCH_INDEX ?=

bin := .venv/bin
pip := $(bin)/python -m pip --disable-pip-version-check
# An empty file for each thing that is installed, so that a second run starts at once.
done := .venv/done

.PHONY: run test browser long clients structured fuzz fuzz-api soak pictures page-bench lighthouse lint-page
.PHONY: dashboard check docs format lock clean wheels cross emulated reproducible try-wheel manual
.DELETE_ON_ERROR:

run: $(done)/server $(done)/base-$(BASE)
	@$(bin)/polydelta demo --base $(BASE) --host $(HOST) --port $(PORT)

test: $(done)/dev $(done)/base-smollm2 $(done)/base-minilm browser
	$(bin)/pytest --numprocesses logical --maxprocesses 4 --dist loadfile

# The page is tested in Chromium. Playwright's own is no package: the system's is taken, or Debian's
# fetched; elsewhere install one, or name it in CHROMIUM. Without any, these tests are skipped.
browser:
	@if ! command -v $${CHROMIUM:-chromium-headless-shell} chromium google-chrome >/dev/null \
	    && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	    echo "Installing Chromium for the tests of the page, some 100 MB …"; \
	    apt-get update -qq && apt-get install -qq --no-install-recommends chromium-headless-shell; \
	fi

long: $(done)/dev $(done)/base-smollm2
	$(bin)/pytest -m long

clients: $(done)/dev .clients/done
	$(bin)/python -m tests.clients_real .clients/bin/python

# Every JSON schema of the organisation's test suite, which jsonschema's sources bring, through masks;
# calls as real models' chat templates write them, which TRL and llama.cpp bring; then what a small
# model writes for the schemas of real tools.
structured: $(done)/dev $(done)/base-smollm2
	$(pip) download --no-deps --no-binary jsonschema --dest .structured jsonschema==4.26.0
	$(bin)/python -m tests.structured .structured/jsonschema-4.26.0.tar.gz
	$(pip) download --no-deps --dest .structured trl==1.16.0
	$(pip) download --no-deps --no-binary llama-cpp-python --dest .structured llama-cpp-python==0.3.36
	$(bin)/python -m tests.structured.templates .structured/trl-1.16.0-py3-none-any.whl \
	    .structured/llama_cpp_python-0.3.36.tar.gz
	$(bin)/pytest -m long tests/server/engine/test_real_grammars.py

fuzz: $(done)/dev
	$(bin)/python -m tests.fuzz $(CASES)

fuzz-api: $(done)/dev .fuzz/done
	$(bin)/python -m tests.fuzz.api .fuzz/bin/st --max-time $$((60 * $(MINUTES)))

soak: $(done)/dev $(done)/base-smollm2
	$(bin)/python -m tests.soak $(MINUTES)
	$(bin)/python -m tests.soak.health

# What the page is worth to Lighthouse, and what Biome finds in its JavaScript and CSS: npm's.
lighthouse: $(done)/dev .page/done browser
	$(bin)/python -m tests.lighthouse .page/node_modules/.bin/lighthouse

lint-page: .page/done
	.page/node_modules/.bin/biome lint

page-bench: $(done)/dev $(done)/base-smollm2 browser
	$(bin)/python -m tests.page_bench

# Writes docs/page*.png, which the tests of the page pass by.
pictures: $(done)/dev $(done)/base-smollm2 browser
	$(bin)/pytest --pictures tests/server/page/test_first_minutes.py

dashboard: $(done)/dev
	$(bin)/python -m tests.dashboard $(PROMETHEUS)

# The documentation's site, in build/docs; it is opened as it is or served by anything.
docs: $(done)/dev
	$(bin)/python -m docs.site

check: $(done)/dev
	$(bin)/ruff check
	$(bin)/ruff format --check
	$(bin)/pyright
	$(bin)/lint-imports

format: $(done)/dev
	$(bin)/ruff check --fix
	$(bin)/ruff format

# The packages of a release, into dist/: docs/releases.md.
wheels: .release/done cross
	.release/bin/python -m release.wheels dist

# The compiler for the other machine is Debian's.
cross:
	@if ! command -v aarch64-linux-gnu-g++ >/dev/null \
	    && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	    echo "Installing the compiler for aarch64, some 200 MB …"; \
	    apt-get update -qq && apt-get install -qq --no-install-recommends g++-aarch64-linux-gnu; \
	fi

# The kernels of the other machine's wheel, run where there is none: Debian's emulator.
emulated: $(done)/dev cross
	@if ! command -v qemu-aarch64 >/dev/null \
	    && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	    echo "Installing the emulator of aarch64, some 100 MB …"; \
	    apt-get update -qq && apt-get install -qq --no-install-recommends qemu-user; \
	fi
	$(bin)/pytest -m long tests/deltas/kernels/test_other_machine.py

reproducible: wheels
	.release/bin/python -m release.reproducible dist

try-wheel: wheels
	.release/bin/python -m release.try_wheel dist

manual: $(done)/dev
	$(bin)/python -m release.manual

clean:
	rm -rf .venv .clients .page .fuzz .lock .release .structured dist .*_cache .hypothesis deltas/kernels/built

$(done)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else \
	    "Polydelta needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	@echo "Making the environment .venv …"
	$(PYTHON) -m venv .venv
	mkdir -p $(done)
	touch $@

kernels := $(wildcard deltas/kernels/*.h deltas/kernels/*.cpp) deltas/kernels/build.py

$(done)/server: requirements.txt pyproject.toml clients/python/pyproject.toml $(kernels) | $(done)/venv
	@echo "Installing PyTorch, the largest download: minutes on a slow line …"
	$(pip) install --no-deps --constraint requirements.txt $(TORCH_INDEX:%=--index-url %) torch
	@echo "Installing the other packages …"
	$(pip) install --requirement requirements.txt
	@echo "Installing Polydelta: its kernels are compiled, which takes a minute or two …"
	$(pip) install --no-deps --editable . --editable clients/python
	touch $@

$(done)/dev: requirements-dev.txt requirements-postgres.txt requirements-signatures.txt $(done)/server
	@echo "Installing what the tests need …"
	$(pip) install --requirement requirements-dev.txt
	touch $@

$(done)/base-%: requirements-%.txt | $(done)/server
	@echo "Fetching the base $*, about 90 MB …"
	$(pip) install --no-deps --requirement $<
	touch $@

# An environment of its own: what schemathesis needs is no concern of the server's.
.fuzz/done: requirements-fuzz.txt
	@echo "Installing schemathesis …"
	$(PYTHON) -m venv .fuzz
	.fuzz/bin/pip install --requirement $<
	touch $@

.release/done: requirements-release.txt
	@echo "Installing what builds packages …"
	$(PYTHON) -m venv .release
	.release/bin/pip install --requirement $<
	touch $@

# Another: clients ask for other releases of what the server needs.
.clients/done: requirements-clients.txt tests/clients_real/package.json
	@echo "Installing litellm, LangChain and other clients …"
	$(PYTHON) -m venv .clients
	.clients/bin/pip install --requirement $<
	if command -v npm; then cp $(word 2,$^) .clients/ && npm install --prefix .clients; fi
	touch $@

.page/done: tests/page_tools/package.json
	mkdir -p .page
	cp $< .page/ && npm install --no-audit --no-fund --prefix .page
	touch $@

# Resolves pyproject's ranges anew, and notes the licences of what it finds. torch keeps no local version, so that its CPU and CUDA builds
# both satisfy the pin; what a CUDA build needs besides, torch itself pins. Tests need triton with any
# build, and find it for Linux alone.
lock:
	rm -rf .lock
	$(PYTHON) -m venv .lock
	.lock/bin/pip install . ./clients/python
	$(freeze) | grep -v '^triton=' > requirements.txt
	.lock/bin/pip install '.[postgres]' ./clients/python
	$(freeze) | grep -v '^triton=' | grep -vxFf requirements.txt > requirements-postgres.txt
	.lock/bin/pip install '.[signatures]' ./clients/python
	$(freeze) | grep -v '^triton=' | grep -vxFf requirements.txt -f requirements-postgres.txt \
	    > requirements-signatures.txt
	.lock/bin/pip install '.[dev]' ./clients/python
	(printf -- '--requirement %s\n' requirements.txt requirements-postgres.txt requirements-signatures.txt; \
	    $(freeze) | grep -vxFf requirements.txt -f requirements-postgres.txt -f requirements-signatures.txt) \
	    > requirements-dev.txt
	.lock/bin/python -m release.licences
	rm -rf .lock

freeze = .lock/bin/pip freeze --all --exclude pip --exclude polydelta --exclude polydelta-client \
    | sed -E -e '/^(nvidia|cuda)/d' -e 's/\+[a-z0-9.]+$$//' \
        -e 's/^triton=.*/&; platform_system == "Linux"/'
