# `make demo` and `make test` are all a fresh machine needs: Python 3.11, git, make.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
TOOLS := build/tools
PYTEST := $(BIN)/pytest -n 2 --dist loadfile

.PHONY: demo test test-studies test-docs test-browser test-fpga test-reliability test-cluster soak docs check format install dist smoke licences chromium postgresql clean

demo: $(VENV)/.installed
	$(BIN)/wordlength launch examples/demo.yaml
	$(BIN)/wordlength export demo --pick knee --to build/demo --force
	@echo "The front in MLflow's UI: $(BIN)/wordlength ui demo"

test: check
	$(PYTEST) -m "not studies" --ignore tests/docs --ignore tests/browser --ignore tests/reliability --ignore tests/fpga

# Whole studies, from their files to their exports, one of each kind.
test-studies: $(VENV)/.installed
	$(PYTEST) -m studies tests/search

# What README and pages show: every command, YAML and Python block; and the site.
test-docs: $(VENV)/.installed
	$(PYTEST) tests/docs

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

install: $(VENV)/.installed

# MLflow's pages and ours in a real browser; what they look like lies in build/screenshots afterwards.
test-browser: $(VENV)/.installed chromium
	$(BIN)/pytest tests/browser

# Studies in which workers, launches, Ray, MLflow and PostgreSQL are killed.
test-reliability: $(VENV)/.installed postgresql
	$(BIN)/pytest tests/reliability

# hls4ml's C simulation of networks of every layer and format.
test-fpga: $(VENV)/.installed
	$(BIN)/pytest tests/fpga

# Three hosts in network namespaces, as root; says why where that cannot be.
test-cluster: $(VENV)/.installed
	$(BIN)/python tests/cluster/three_hosts.py

# Thirty rounds of a study in which something is killed.
soak: $(VENV)/.installed
	$(BIN)/python tests/reliability/soak.py

# Wheel and sdist in build/dist: the wheel is made from the sdist, so that both are whole.
dist: $(TOOLS)/.installed
	rm -rf build/dist
	$(TOOLS)/bin/pyproject-build --outdir build/dist .
	$(TOOLS)/bin/twine check --strict build/dist/*

# Both used as their user would, each in a clean environment outside the checkout.
smoke: dist
	$(PYTHON) tests/release/smoke.py build/dist/*.whl build/dist/*.tar.gz

# docs/licences.md, from what is installed: after every change of constraints.txt.
licences: $(VENV)/.installed
	$(BIN)/python tests/release/licences.py

# build/site/index.html; a warning is an error. The notice of MkDocs 2 is its authors' own affair.
docs: $(VENV)/.installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# On Debian, as root.
chromium:
	command -v chromium || (apt-get update -q && apt-get install -q -y --no-install-recommends chromium)

# On Debian, as root; without it the tests that need it are skipped.
postgresql:
	ls /usr/lib/postgresql/*/bin/initdb || apt-get install -q -y --no-install-recommends postgresql || true

# Everything is pinned to what was tested together; the editable install follows the sources.
$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "Installing into $(VENV): TensorFlow, Ray, MLflow and others, 3.7 GB; without a word for some minutes."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[demo,dev]'
	touch $@

# What builds a release; in the other environment nothing needs it.
$(TOOLS)/.installed: Makefile
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/pip install --quiet --disable-pip-version-check build==1.6.1 twine==7.0.0
	touch $@

clean:
	rm -rf $(VENV) build .wordlength .mypy_cache .ruff_cache .pytest_cache
