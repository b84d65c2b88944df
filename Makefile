# Each target installs what it needs, also on a fresh clone, on Debian (apt) and on EL (dnf), and prints what it does.
# `make help` prints the text after ## of every target.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LAB_TESTS := tests/contract tests/lab
# Lines of kvmnet/core that the unit and golden tests must run, in per cent.
CORE_COVERAGE := 95

# Variables of single targets, set on the command line: make fuzz N=500
# fuzz: the number of generated definitions; fuzz-importers: that of mutated inputs
N ?= 10000
# faults: the part of the fault matrix to run (1/4: the first quarter), and the pairs of machines side by side
SHARD ?= 1/1
PAIRS ?= 3
# soak-guests: minutes in each generation
MINUTES ?= 4
# states: the number of generated hosts in each generation
COUNT ?= 40

.DEFAULT_GOAL := help
.PHONY: collection collection-test help demo test check lint unit coverage pythons lab lab-tests lab-tests-all docs man completion fuzz fuzz-importers faults states \
	graph-test bench bench-outage bench-lab contract-versions soak-guests release clean

help:
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r target text; do \
	  printf 'make %-18s %s\n' "$$target" "$$text"; done

# ---- Before every commit

check: lint unit  ## lint, types, spelling, unit and golden tests (3 min)

lint: $(VENV)/.ready  ## ruff, codespell, mypy, import-linter, deptry (20 s)
	@echo "lint: style, spelling, types, imports, dependencies (about 20 s)"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { echo "lint: badly formatted; run: $(BIN)/ruff format ."; exit 1; }
	@$(BIN)/codespell || { echo "lint: fix the words above, or see [tool.codespell] in pyproject.toml"; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/deptry kvmnet

unit: $(VENV)/.ready  ## unit and golden tests (2 min)
	@echo "unit: unit and golden tests (about 2 min)"
	@$(BIN)/python -m pytest

docs: $(VENV)/.ready  ## rewrite the generated pages of docs/reference
	@$(BIN)/python -m tools.reference

man: $(VENV)/.ready  ## write the manual pages into build/man
	@$(BIN)/python -m tools.manual build/man

completion: $(VENV)/.ready  ## write the completion files for bash, zsh and fish into build/completion
	@$(BIN)/python -m tools.completion build/completion

# ---- More tests

graph-test: $(VENV)/.ready  ## pictures of `kvmnet graph` in a headless Chromium, if the machine has one (2 min)
	@echo "graph-test: pages of kvmnet graph in a real browser, skipped without one: none is installed (about 2 min)"
	@$(BIN)/python -m pytest tests/browser

coverage: $(VENV)/.ready  ## lines that the unit and golden tests run; fails if kvmnet/core is below 95 % (3 min)
	@echo "coverage: unit and golden tests with every line counted (about 3 min)"
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest
	@echo "coverage: everything but kvmnet/core (no minimum: much of it runs on lab machines, or in processes of its own)"
	@$(BIN)/coverage report --omit='kvmnet/core/*'
	@echo "coverage: kvmnet/core, files with lines that no test runs (minimum: $(CORE_COVERAGE) %)"
	@$(BIN)/coverage report --include='kvmnet/core/*' --skip-covered --show-missing --fail-under=$(CORE_COVERAGE)

pythons: $(VENV)/.ready  ## unit and golden tests on this, the oldest and the newest Python of the machine (6 min)
	@$(BIN)/python -m tools.pythons

fuzz: $(VENV)/.ready  ## generated definitions, valid and invalid (N=10000: 3 min)
	@echo "fuzz: $(N) generated definitions (10,000 take about 3 min)"
	@$(BIN)/python -m tests.fuzz --examples $(N)

fuzz-importers: $(VENV)/.ready  ## mutated files through all importers (N=100000: 20 min)
	@echo "fuzz-importers: $(N) mutated inputs (10,000 take about 2 min)"
	@$(BIN)/python -m tests.fuzz_importers --examples $(N)

test: lint pythons lab-tests  ## lint, pythons, contract and lab tests (40 min once the lab is built)

# ---- The lab: virtual machines (tests/lab/README.md)

demo: $(VENV)/.ready  ## the whole job on virtual machines, with its output (10 min the first time, then 5)
	@$(PYTHON) -m tests.demo.demo

lab:  ## build the lab's virtual machines
	@tools/prepare.sh --python
	@$(PYTHON) -m tests.machines.build

lab-tests: $(VENV)/.ready  ## contract and lab tests, most of them in one generation (30 min)
	@echo "lab-tests: contract and lab tests, both generations side by side (about 30 min once the lab is built)"
	@$(BIN)/python -m tests.machines.build || [ "$$KVMNET_LAB" != required ]
	@$(BIN)/python -m tests.machines.side_by_side --take-turns --durations=15 $(LAB_TESTS)

lab-tests-all: $(VENV)/.ready  ## contract and lab tests, all of them in both generations (an hour)
	@$(BIN)/python -m tests.machines.build
	@$(BIN)/python -m tests.machines.side_by_side --durations=20 $(LAB_TESTS)

contract-versions: $(VENV)/.ready  ## contract tests with older nmstate versions and its library (15 min to build, then 10)
	@$(BIN)/python -m tests.machines.build --versions
	@$(BIN)/python -m tests.machines.side_by_side --backends all tests/contract

faults:  ## the fault matrix, 877 points (SHARD=1/4: the first quarter, half an hour or more; PAIRS=3)
	@tools/prepare.sh --python
	@$(PYTHON) -m tests.faults.matrix --shard $(SHARD) --pairs $(PAIRS)

states:  ## generated hosts: adopted, rebooted, given back (COUNT=40: an hour and a half)
	@tools/prepare.sh --python
	@$(PYTHON) -m tests.states --count $(COUNT)

soak-guests:  ## guests start and stop while libvirt is killed and the host rebooted (15 min; MINUTES=4)
	@tools/prepare.sh --python
	@$(PYTHON) -m tests.faults.soak_guests --minutes $(MINUTES)

# ---- Benchmarks

bench: $(VENV)/.ready  ## time of validate and render, compared with netplan (3 min)
	@echo "bench: whole processes, kvmnet and netplan in turn (about 3 min)"
	@$(BIN)/python -m benchmarks.core

bench-lab:  ## many VLAN bridges, compared with nmstatectl alone; then bench-outage (40 min)
	@tools/prepare.sh --python
	@$(PYTHON) -m benchmarks.lab; lab=$$?; $(PYTHON) -m benchmarks.outage && exit $$lab

bench-outage:  ## how long the address is unreachable, compared with the same change by hand (15 min)
	@tools/prepare.sh --python
	@$(PYTHON) -m benchmarks.outage

# ---- The Ansible collection

collection:  ## build the Ansible collection in dist/ (5 s; the first time installs Ansible, 1 min)
	@$(PYTHON) -m tools.collection build

collection-test: $(VENV)/.ready  ## the collection with real Ansible (three versions) and ssh servers on loopback (10 min)
	@$(BIN)/python -m tools.collection test

# ---- Release

release: $(VENV)/.ready  ## build wheel and sdist in dist/, check the version, install the wheel and run it (1 min)
	@$(BIN)/python -m tools.release

clean:  ## delete the virtual environment, caches and dist/
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage

$(VENV)/.ready: pyproject.toml tools/prepare.sh
	@tools/prepare.sh "$(PYTHON)" "$(VENV)"
	@touch $@
