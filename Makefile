# make check is what continuous integration runs.
PYTHON ?= python
TREE := build/types/kjet

.PHONY: install format lint types test check bench docs

install:  ## everything that development needs, pinned
	$(PYTHON) -m pip install -c constraints.txt torch==2.13.0
	$(PYTHON) -m pip install -c constraints.txt -e ".[dev]"

format:
	$(PYTHON) -m ruff check --fix-only .
	$(PYTHON) -m ruff format .

lint:
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .

types:  ## mypy knows nothing of package-dir, so it is shown the package as it is installed, by links
	rm -rf $(TREE)
	mkdir -p $(TREE)
	ln -s $(addprefix $(CURDIR)/,$(wildcard kjet/*) conf constraints data operators pde) $(TREE)
	cd build/types && $(PYTHON) -m mypy --config-file $(CURDIR)/pyproject.toml --cache-dir $(CURDIR)/.mypy_cache -p kjet

test:
	$(PYTHON) -m pytest

check: lint types test

bench:
	$(PYTHON) -m benchmarks.problems --out benchmarks/results/problems.json

docs:
	$(PYTHON) -m sphinx -W --keep-going -b html docs build/docs
