# make demo | test | lint | bench | proof | interop | stories | service | fuzz | coverage-ocpp
# Each sets itself up from nothing. Needs only Python >= 3.11 with venv, and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready

.PHONY: help demo test test-O lint format types bench proof interop fuzz service stories coverage-ocpp clean

help:
	@sed -n '1,2p' Makefile; echo "make demo ARGS='--headless --seconds 60' runs without a terminal"

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo 'installing into $(VENV) (once, a minute at most) ...'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(STAMP)
	$(BIN)/chargerd demo $(ARGS)

# Three workers: the stories of real processes mostly wait.
test: $(STAMP)
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --ignore tests/interop $(ARGS)

# pytest's own asserts are off here: it proves that nothing leans on assert.
test-O: $(STAMP)
	PYTHONOPTIMIZE=1 $(BIN)/python -W ignore -m pytest -W ignore::pytest.PytestConfigWarning -n 2 --dist loadfile tests/unit tests/property $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/house_rules.py

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)
	$(BIN)/python -m tests.bench $(ARGS)

# Writes docs/proof.md, with the time it took: 9 minutes on two cores that do nothing else.
# ARGS='--sessions 500 --worlds 4 --out /dev/stdout' is a look.
proof: $(STAMP)
	$(BIN)/python -m tests.proof $(ARGS)

interop: $(STAMP)
	$(BIN)/python -m pytest -m interop $(ARGS)

# Coverage-guided, in a venv of its own: make fuzz SECONDS=600 TARGETS=decode
FUZZ := out/fuzz/venv/bin/python
SECONDS ?= 60
TARGETS ?= all
fuzz:
	@test -x $(FUZZ) || $(PYTHON) -m venv out/fuzz/venv
	@$(FUZZ) -m pip install --quiet --disable-pip-version-check -e . 'atheris>=3'
	@$(FUZZ) -m tests.fuzz.run $(TARGETS) --seconds $(SECONDS) 2>out/fuzz/log \
	  || { tail -40 out/fuzz/log; false; }

# OCPP requirements done and open by block, from the marks of the tests.
coverage-ocpp: $(STAMP)
	$(BIN)/python -m tests.requirements sync

# The longest stories of real processes: a blackout, sources and packs that stay, each
# fault of the hardware, meters that lie, vehicles of their own minds.
stories: $(STAMP)
	$(BIN)/python -m pytest -m story -n 2 --dist loadfile $(ARGS)

service: $(STAMP)
	$(BIN)/python -m pytest tests/service $(ARGS)

clean:
	rm -rf $(VENV) out build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
