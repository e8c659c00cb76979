# Two commands set up everything: `make demo` trains on real data, `make test` runs the tests.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
EXTRAS ?= app,dev
WORKERS ?= auto
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: help demo test lint format types slow bench pages docs clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    train on houses and digits (sets up .venv first)"
	@echo "make test    lint, types, tests, doctests, coverage"
	@echo "make slow    the long sweeps"
	@echo "make bench   time pullback against its peers"
	@echo "make format  format the code"
	@echo "make docs    build the documentation site, site/index.html"
	@echo "make pages   write the generated pages of docs/ anew"

$(VENV)/.app: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[app]"
	@touch $@

$(VENV)/.$(EXTRAS): $(VENV)/.app
	$(BIN)/python -m pip install --quiet --editable ".[$(EXTRAS)]"
	@touch "$@"

$(VENV)/.docs: $(VENV)/.app
	$(BIN)/python -m pip install --quiet --editable ".[docs]"
	@touch $@

demo: $(VENV)/.app
	@rm -rf runs/demo-houses runs/demo-digits
	$(BIN)/pullback train houses --out runs/demo-houses
	$(BIN)/pullback train digits --out runs/demo-digits
	@echo "The pictures: runs/demo-houses/curves.png and runs/demo-digits/curves.png"

lint: $(VENV)/.$(EXTRAS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.$(EXTRAS)
	$(BIN)/mypy

test: lint types
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow" --cov --cov-report=term:skip-covered

slow: $(VENV)/.$(EXTRAS)
	$(BIN)/python -m pytest -m slow

format: $(VENV)/.$(EXTRAS)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.$(EXTRAS)
	$(BIN)/python benchmarks/eager_overhead.py
	$(BIN)/python -m pullback.cli.main bench
	$(BIN)/python benchmarks/elementwise.py
	$(BIN)/python benchmarks/growth.py
	$(BIN)/python benchmarks/compile_latency.py
	$(BIN)/python benchmarks/sparse_jacobian.py
	$(BIN)/python benchmarks/memory_budget.py

pages: $(VENV)/.$(EXTRAS)
	$(BIN)/python -m pullback.numpy.coverage docs/numpy.md
	$(BIN)/python -c "from pullback.explain.undefined import page; print(page(), end='')" > $(VENV)/page.md
	@mv $(VENV)/page.md docs/undefined.md

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "The site: site/index.html"

clean:
	rm -rf $(VENV) runs site .mypy_cache .ruff_cache .pytest_cache .coverage
