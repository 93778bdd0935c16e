# Everything a user or a contributor types. `make help` lists it; CI runs the same targets (.ci/run).
#
#   PYTHON=/path/to/python3.13   the interpreter to make the environment from (default: python3)
#   VENV=.venv-3.13              the folder it lives in (default: .venv)
#   ALSO='Django<6.1'            one more requirement, for a matrix of versions
#   OLDEST=1                     the library's dependencies at the oldest versions they are declared with (in a VENV of its own)
#   ARGS='-k rollback -x'        more arguments for pytest or the benchmarks

PYTHON ?= python3
VENV ?= .venv
ALSO ?=
OLDEST ?=
ARGS ?=
SEED ?=
PEER ?=
BIN = $(VENV)/bin

# A shell's own Python settings must not reach the commands below.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONOPTIMIZE PYTHONSAFEPATH PYTHONWARNINGS PYTHONINSPECT PYTHONDONTWRITEBYTECODE
unexport DJANGO_SETTINGS_MODULE VIRTUAL_ENV CDPATH
export PYTHONUNBUFFERED = 1

.DEFAULT_GOAL := help
.PHONY: help install demo run test check fix bench bench-quick bench-steady bench-peers chaos mutants conformance-procrastinate docs clean

help: ## List these commands
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

install: ## Make the virtual environment (every target does it when needed)
	@$(PYTHON) tools/install.py --venv "$(VENV)" --also "$(ALSO)" $(if $(OLDEST),--oldest)

demo: install ## Upload photos to a real site, watch a real worker handle them (PHOTOS=folder for your own)
	@$(BIN)/python -m site_app.demo

run: install ## The same site, left running until Ctrl-C
	@$(BIN)/python -m site_app.run

test: install ## Run all tests (ARGS='-k name' for some)
	@$(BIN)/python -m pytest $(ARGS)

check: install ## Format, lint, types, import stairs, SQL, docs
	@$(BIN)/python tools/check.py

fix: install ## Format and repair what a tool can repair
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

bench: install ## Measure speed beside other queues, 12 minutes (ARGS='drain pickup' for parts, '--write docs/benchmarks.md')
	@$(BIN)/python -m benchmarks $(ARGS)

bench-quick: install ## The same in a minute: one round of few jobs, to see that it works
	@$(BIN)/python -m benchmarks --quick $(ARGS)

bench-steady: install ## Measure whether it stays so: a million rows, an open snapshot, processes, a soak; 15 minutes
	@$(BIN)/python -m benchmarks steady $(ARGS)

bench-peers: install ## Install the other queues that `make bench` measures (Node 20 with npm for graphile-worker)
	@$(BIN)/python -m benchmarks.peers

chaos: install ## Break everything at full size, count what is lost (SEED=7, PEER=procrastinate, ARGS='-k s03')
	@SEED="$(SEED)" PEER="$(PEER)" $(BIN)/python tools/chaos.py $(ARGS)

mutants: install ## Put seeded bugs into a copy of the code and see that the tests catch each (ARGS='rescue fetch')
	@$(BIN)/python tools/mutants.py $(ARGS)

conformance: install ## Run the suites of others against us: Django's own tests of its task framework
	@$(BIN)/python tools/conformance_django.py

conformance-procrastinate: install ## Run procrastinate's own tests on our tables (ARGS='--tests FOLDER': a checkout)
	@$(BIN)/python tools/conformance_procrastinate.py $(ARGS)

docs: install ## Build the documentation into docs/_build
	@$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -b html docs docs/_build

clean: ## Remove environments, caches and the embedded database
	@rm -rf .venv .venv.lock .venv-* docs/_build build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .postgres
