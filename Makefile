# Every target sets itself up from nothing: a virtual environment in .venv, packages as pinned in constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test slow lint types check benchmark clean

help:  ## Show this help
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## */\1\t/' | expand -t 12

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

install: $(INSTALLED)  ## Make .venv and install the package with everything for development

demo: $(INSTALLED)  ## Score 300 NAS-Bench-201 cells, rank the proxies against trained results, write report.html (minutes)
	$(BIN)/automl-theory score nas_bench_201 --proxies core --sample 300 --preset reduced --data digits \
		--store runs/demo.db --export runs/demo.parquet --accuracy digits
	$(BIN)/automl-theory report runs/demo.parquet --accuracy digits --output report.html --force \
		--title 'NAS-Bench-201 on digits, before training' > /dev/null
	@echo "open report.html in a browser"

test: $(INSTALLED)  ## Run the tests on all cores
	$(BIN)/python -m pytest -n auto --dist worksteal

slow: $(INSTALLED)  ## Run the tests that take minutes, three notebooks among them
	$(BIN)/python -m pytest -n auto --dist worksteal -m slow

lint: $(INSTALLED)  ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)  ## Check types (mypy strict) of the package
	$(BIN)/mypy

check: test slow lint types  ## All tests, style and types

benchmark: $(INSTALLED)  ## Measure what README claims about speed (half an hour, on an idle machine)
	$(BIN)/python benchmarks/ntk_speed.py

clean:  ## Remove the virtual environment, caches and runs
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis runs report.html
