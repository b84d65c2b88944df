# Every target does its own set-up on a fresh clone: Debian (apt) or EL (dnf), and says what it does.
#   make demo    the whole job on real machines, shown        (about 10 min the first time, then 5)
#   make test    check, every Python, contract, lab machines  (under 25 min once the lab is built)
#   make check   lint, types, unit and golden tests           (under 90 s)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LAB_TESTS := tests/contract tests/lab

.PHONY: help demo test check lint unit pythons lab lab-tests lab-tests-all docs fuzz faults bench bench-outage bench-lab contract-versions soak-guests clean

# How many generated definitions `make fuzz` looks at.
N ?= 10000
# Which part of the fault matrix `make faults` runs, and how many pairs of machines a generation side by side.
SHARD ?= 1/1
PAIRS ?= 3

help:
	@sed -n '2,4s/^# *//p' Makefile
	@echo "make docs          write the generated pages of docs/reference again"
	@echo "make fuzz          $(N) generated definitions, right and wrong (N=… for another number; 3 min)"
	@echo "make faults        the fault matrix, 776 points, SHARD=i/n of them (1/4: half an hour, on a slow machine thrice that)"
	@echo "make bench         how long validate and render take, beside netplan (3 min)"
	@echo "make lab-tests-all every lab test in both generations (an hour)"
	@echo "make lab           build the lab's machines (tests/lab/README.md)"
	@echo "make soak-guests   guests come and go while libvirt is killed, the machine rebooted (15 min; MINUTES=…)"
	@echo "make contract-versions  the contract with nmstate of older versions too, and its library (builds 15 min, then 10)"
	@echo "make bench-lab     many VLAN bridges, beside bare nmstatectl; then bench-outage (40 min)"
	@echo "make bench-outage  how long the address is away, beside the same change by hand (15 min)"

$(VENV)/.ready: pyproject.toml tests/prepare.sh
	@tests/prepare.sh "$(PYTHON)" "$(VENV)"
	@touch $@

demo: $(VENV)/.ready
	@$(PYTHON) -m tests.lab.demo

check: lint unit

lint: $(VENV)/.ready
	@echo "check: lint and types (about 15 s)"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { echo "run: $(BIN)/ruff format ."; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/deptry kvmnet

unit: $(VENV)/.ready
	@echo "check: unit and golden tests (about 30 s)"
	@$(BIN)/python -m pytest

pythons: $(VENV)/.ready
	@$(BIN)/python tests/pythons.py

lab:
	@tests/prepare.sh --python
	@$(PYTHON) -m tests.lab.build

lab-tests: $(VENV)/.ready
	@echo "test: contract and lab machines, the generations side by side (about 20 min once the lab is built)"
	@$(BIN)/python -m tests.lab.build || [ "$$KVMNET_LAB" != required ]
	@$(BIN)/python -m tests.lab.side_by_side --take-turns --durations=15 $(LAB_TESTS)

lab-tests-all: $(VENV)/.ready
	@$(BIN)/python -m tests.lab.build
	@$(BIN)/python -m tests.lab.side_by_side --durations=20 $(LAB_TESTS)

test: check pythons lab-tests

docs: $(VENV)/.ready
	@$(BIN)/python -m tools.reference

fuzz: $(VENV)/.ready
	@echo "fuzz: $(N) generated definitions (10,000 take about 3 min)"
	@$(BIN)/python -m tests.fuzz --examples $(N)

bench: $(VENV)/.ready
	@echo "bench: the core beside netplan, whole processes in turn (about 3 min)"
	@$(BIN)/python -m benchmarks.core

faults:
	@tests/prepare.sh --python
	@$(PYTHON) -m tests.lab.matrix --shard $(SHARD) --pairs $(PAIRS)

bench-lab:
	@tests/prepare.sh --python
	@$(PYTHON) -m benchmarks.lab; lab=$$?; $(PYTHON) -m benchmarks.outage && exit $$lab

contract-versions: $(VENV)/.ready
	@$(BIN)/python -m tests.lab.build --versions
	@$(BIN)/python -m tests.lab.side_by_side --backends all tests/contract

bench-outage:
	@tests/prepare.sh --python
	@$(PYTHON) -m benchmarks.outage

# How long each generation is under it.
MINUTES ?= 4

soak-guests:
	@tests/prepare.sh --python
	@$(PYTHON) -m tests.lab.soak_guests --minutes $(MINUTES)

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
