# What a person does with this checkout. `make` alone lists the targets.
.DEFAULT_GOAL := help
.PHONY: help demo building test check lint types layers unit interop bench performance bench-peers fuzz states loss mutants
.PHONY: set-up system-packages lock clean

RUN := .venv/bin
# Two workers suit two cores; the tests of lossy wires are bound by the processor, the peers' by waiting.
WORKERS ?= 4

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

demo: set-up ## set up, then play the main job: six parties, real sockets, real refusals
	@$(RUN)/twoway demo

building: set-up ## play the building with two tenants: rights, refusals with their reasons, revocation
	@$(RUN)/python examples/building/run.py

test: system-packages check unit ## set up with the foreign programs, then run every check and test

check: lint types layers ## the checks that run nothing

lint: set-up ## ruff: style and likely mistakes
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .

types: set-up ## mypy, strict
	$(RUN)/mypy

layers: set-up ## import-linter: the house stands
	$(RUN)/lint-imports

unit: set-up ## pytest alone
	$(RUN)/pytest -n $(WORKERS)

interop: system-packages ## meet the foreign stacks in every cell of the matrix; write docs/interop.md
	@TWOWAY_PEERS=required $(RUN)/python tests/interop/write_paper.py

bench: bench-peers ## rates beside pyOpenSSL and tinydtls, against the aims
	@$(RUN)/python bench/run.py $(BENCH)

performance: bench-peers ## measure and write the tables of docs/performance.md
	@$(RUN)/python bench/run.py --write $(BENCH)
	@$(RUN)/python bench/access.py --write

bench-peers: set-up # without them the comparison is left out
	@$(RUN)/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes --upgrade \
	  --target build/bench-peers -r bench/peers.txt || echo "bench: pyOpenSSL could not be installed"

# Seconds for each of the fuzz targets.
SECONDS_EACH ?= 60

fuzz: set-up ## fuzz the DTLS engine, a minute each target: make fuzz SECONDS_EACH=600
	@for target in codecs gate datagrams; do \
	  $(RUN)/python tests/fuzz/run.py $$target --seconds $(SECONDS_EACH) || exit 1; done

states: set-up ## draw docs/states.md from the code
	@PYTHONPATH=tests/support $(RUN)/python tests/support/state_table.py

loss: set-up ## handshakes on paths that lose, repeat and reorder: write docs/loss.md
	$(RUN)/python bench/loss.py

mutants: set-up ## change the code in small ways, see the tests notice: write docs/mutants.md [MODULE=replay, access]
	$(RUN)/python bench/mutants.py $(MODULE)

set-up:
	@scripts/set-up

system-packages: ## install the foreign programs of the tests, where that is allowed
	@scripts/set-up --system

lock: set-up ## choose versions anew and write requirements.lock (needs uv)
	uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-emit-index-url --no-annotate --upgrade -o requirements.lock

clean: ## remove everything that can be made again
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis mutants build dist
	find . -name __pycache__ -prune -exec rm -rf {} +
