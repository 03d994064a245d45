# Gengfu: `make demo` and `make test` work on a fresh machine with python3, pip, make and git; only install needs root.
# The tools live in ./.uv (uv) and ./.venv (everything else, from requirements.lock, each file checked by its hash).

PYTHON ?= python3
UV_VERSION := 0.13.9
UV := PYTHONPATH=$(CURDIR)/.uv UV_PYTHON_DOWNLOADS=never UV_PYTHON_PREFERENCE=only-system $(CURDIR)/.uv/bin/uv
BIN := .venv/bin
PREFIX ?= /opt/gengfu
# The installed gateway runs on the system's own Python: one in somebody's home is not there for a service.
SYSTEM_PYTHON ?= $(firstword $(wildcard /usr/bin/python3) $(PYTHON))

.PHONY: help setup demo test check format reference lock bench faults fuzz mutants install uninstall clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.uv/bin/uv:
	@echo "setup: fetching uv $(UV_VERSION)"
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target .uv "uv==$(UV_VERSION)"

.venv/ready: .uv/bin/uv requirements.lock pyproject.toml
	@echo "setup: installing into .venv"
	@test -x $(BIN)/python || $(UV) venv --quiet --python $(PYTHON) .venv
	@$(UV) pip sync --quiet --python .venv --require-hashes requirements.lock
	@$(UV) pip install --quiet --python .venv --no-deps --no-build-isolation --editable .
	@touch $@

setup: .venv/ready ## Prepare .venv with the gengfu command in it
	@echo "ready: $(BIN)/gengfu --help"

demo: .venv/ready ## Run the whole thing on simulated devices (Ctrl-C ends it)
	@$(BIN)/gengfu demo

test: .venv/ready ## Run every test
	@$(BIN)/python -m pytest -n 2 --dist loadfile

check: .venv/ready ## Lint, types, import contract, generated references
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m docs.reference --check

format: .venv/ready ## Put the code into its standard form
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

reference: .venv/ready ## Write the generated pages of docs/ anew
	@$(BIN)/python -m docs.reference

lock: .uv/bin/uv ## Resolve the dependencies anew into requirements.lock
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  --no-emit-find-links --upgrade --extra dev pyproject.toml -o requirements.lock
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  --no-emit-find-links --no-annotate --constraint requirements.lock pyproject.toml -o requirements-runtime.lock

install: .uv/bin/uv ## As root: install into /opt/gengfu, with the service (docs/install.md); also an upgrade
	@UV='$(UV)' PYTHON='$(SYSTEM_PYTHON)' PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' sh systemd/install.sh install

uninstall: ## As root: remove the program; journal and configuration stay
	@PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' sh systemd/install.sh uninstall

bench: .venv/ready ## Measure (several minutes); the figures stand in docs/PERFORMANCE.md
	@$(BIN)/python -m bench

faults: .venv/ready ## The full figures of the fault tests (long); the suite runs a small share
	@PYTHONPATH=. $(BIN)/python tests/faults/test_kill_journal.py 1000
	@PYTHONPATH=. $(BIN)/python tests/faults/test_power_cut.py 10000
	@PYTHONPATH=. $(BIN)/python tests/faults/test_power_cut_twice.py 400
	@PYTHONPATH=. $(BIN)/python tests/faults/test_corrupt_pages.py 1000
	@$(BIN)/python -m tests.faults.test_backlog 1000000
	@$(BIN)/python -m tests.faults.test_outage_72h 72
	@GENGFU_FAULTS=full $(BIN)/python -m pytest tests/faults/test_link_faults.py tests/faults/test_thinning.py -s
	@GENGFU_FAULTS=full $(BIN)/python -m pytest tests/faults/test_serial_faults.py tests/faults/test_pulled.py -s
	@GENGFU_FAULTS=full $(BIN)/python -m pytest tests/faults/test_apply_cut.py -s
	@GENGFU_FAULTS=full $(BIN)/python -m pytest tests/faults/test_starved.py tests/faults/test_silent_sensor.py -s
	@GENGFU_FAULTS=full $(BIN)/python -m pytest tests/faults/test_memory.py tests/faults/test_little_processor.py -s
	@GENGFU_FAULTS=full $(BIN)/python -m pytest tests/systemd/test_booted.py -s
	@GENGFU_FAULTS=full $(BIN)/python -m pytest tests/systemd/test_update.py tests/systemd/test_booted_update.py -s
	@GENGFU_FAULTS=full $(BIN)/python -m pytest tests/e2e -s
	@$(BIN)/python -m tests.simulation --seeds 0..1999 --minutes 10

mutants: .venv/ready ## Do the tests of the rules bite? Hours; goes on where it ended. The survivors stand in docs/MUTANTS.md
	@$(BIN)/python -m tests.mutation

fuzz: .venv/ready ## An hour of damaged inputs for every parser that meets a wire; found cases stay in tests/fuzz/corpus
	@$(BIN)/python -m tests.fuzz --seconds 3600

clean: ## Remove what setup and the demo made
	@rm -rf .uv .venv demo-run
