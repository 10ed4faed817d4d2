# Everything works from a bare clone with Python 3.11 or newer, venv and make: each target first
# makes .venv and installs into it what it needs, once. A stamp per set of extras keeps repeats
# quick; a change of pyproject.toml brings the sets up to date.

VENV   := .venv
PY     := $(VENV)/bin/python
PYTHON ?=
ARGS   ?=
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
# Some containers set it. Then each process of the tests, some hundred kernels among them, compiles
# anew all that it imports: 2.3 s of CPU instead of 0.8 s for a kernel with cellist.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo bundle test lint format typecheck coverage lab bench docs clean
.DELETE_ON_ERROR:

help:
	@echo 'make demo       run the flights notebook twice, headless, and say what was reused and why'
	@echo 'make test       run all tests, those in a real browser too; ARGS="-m \"not slow\"" for the quick ones'
	@echo 'make lint       ruff, pyright and the checks of files, as CI runs them'
	@echo 'make bundle     build the front end of the board anew, after a change of its modules'
	@echo 'make lab        open JupyterLab on the notebooks'
	@echo 'make bench      compare the speed with pipefunc, joblib and raw baselines'
	@echo 'make setup      only make .venv, with all that test and lint need'
	@echo 'make format, typecheck, coverage, docs, clean'

$(PY):
	@python=$$(PYTHON='$(PYTHON)' .ci/find-python) && echo "Making $(VENV) with $$python" && "$$python" -m venv --clear $(VENV)

# One stamp for each set of extras; a set is installed again when pyproject.toml changes. A larger
# set (test brings examples and lab, bench brings test) stamps those it holds.
EXTRAS_lab   := examples,lab
EXTRAS_test  := test
EXTRAS_bench := bench
EXTRAS_lint  := bench,lint
EXTRAS_docs  := docs
HOLDS_test   := lab
HOLDS_bench  := lab test
HOLDS_lint   := lab test bench

$(VENV)/.has-%: pyproject.toml | $(PY)
	@echo 'Installing cellist[$(EXTRAS_$*)] into $(VENV); the first time takes a minute or two'
	@$(PY) -m pip install --quiet --no-compile --editable '.[$(EXTRAS_$*)]'
	@touch $@ $(HOLDS_$*:%=$(VENV)/.has-%)

setup: $(VENV)/.has-lint

demo: $(VENV)/.has-lab
	$(PY) notebooks/run_demo.py $(ARGS)

bundle: $(VENV)/.has-test
	$(PY) -m tests.board.frontend

# In two processes, file by file (tests/parallel.py): a test of kernels, browsers or time limits
# mostly waits. For a debugger: ARGS="-n0 --pdb". A process that a time limit ended is started anew.
test: $(VENV)/.has-test
	@$(PY) tests/chromium.py
	$(PY) -m pytest -n 2 --max-worker-restart=3 $(ARGS)

lint: $(VENV)/.has-lint
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m validate_pyproject pyproject.toml
	@git ls-files -z --cached --others --exclude-standard | xargs -0 $(PY) .ci/check_files.py
	$(PY) -m pyright

format: $(VENV)/.has-lint
	$(PY) -m ruff check --fix-only --quiet .
	$(PY) -m ruff format .

typecheck: $(VENV)/.has-lint
	$(PY) -m pyright $(ARGS)

coverage: $(VENV)/.has-lint
	$(PY) -m coverage run -m pytest -m 'not slow' $(ARGS)
	$(PY) -m coverage report --skip-covered

lab: $(VENV)/.has-lab
	$(PY) -m jupyterlab --notebook-dir=notebooks $(ARGS)

bench: $(VENV)/.has-bench
	$(PY) -m benchmarks $(ARGS)

docs: $(VENV)/.has-docs
	$(PY) -m pdoc --output-directory build/docs cellist

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis .coverage
