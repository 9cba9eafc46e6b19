# Every target makes the .venv it needs. `make help` lists them.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

override BIN := .venv/bin
override INSTALLED := .venv/installed
override JUPYTER := .venv/jupyter

# What users set reaches programs through the environment, as it was typed: neither make nor a shell runs what is in it.
SET := ARGS KEEP PORT PYTHON REMOTE URL
$(foreach name,$(SET),$(if $(filter-out undefined,$(origin $(name))),$(eval override $(name) := $$(value $(name)))$(eval export $(name))))
# Splits ARGS into words as a shell would, and runs nothing in it but this Python.
WITH_ARGS := $(BIN)/python tools/with_args.py

# The interpreter that runs tools/install.py, which chooses the one for .venv. Any Python 3 will do for that.
override HOST := $(shell command -v python3 || command -v python3.13 || command -v python3.12 || command -v python3.11)
export HOST

.PHONY: help book pdf slides lab test lint format shapes serve reproduce reproduce-all bench kernels course pairs bounds pins set-repository colab clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 24

$(INSTALLED): pyproject.toml constraints.txt package.json package-lock.json tools/install.py
	@test -n "$${HOST:=$$PYTHON}" || { echo "make: Python 3.11 to 3.13 is needed for the book and was not found: install it." >&2; exit 1; }; \
	"$$HOST" tools/install.py --python="$$PYTHON"

book: $(INSTALLED) ## execute the notebooks and build the site into _build/html
	@$(BIN)/python tools/build.py

slides: book ## build the slides of all sessions with the site, and say where they are
	@echo "Open one of:" && ls "$$PWD"/_build/html/slides/*.html

pdf: $(INSTALLED) ## print the whole book into _build/book.pdf (needs Chromium or Chrome)
	@$(BIN)/python tools/pdf.py

lint: $(INSTALLED) ## check style and notebook pairs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tools/pairs.py --check

# Jupyter has an environment of its own, so that what it installs neither moves a pin nor makes every page run again.
lab: $(INSTALLED) ## open Jupyter with the book's environment (ARGS="--no-browser"); the first time it installs JupyterLab
	@test -x $(JUPYTER)/bin/jupyter-lab || { $(BIN)/python -m venv --clear $(JUPYTER) && $(JUPYTER)/bin/pip install --quiet jupyterlab==4.6.6; }
	@$(BIN)/python -m ipykernel install --prefix $(JUPYTER) --name python3 >/dev/null 2>&1 || \
		{ echo "make: the book's kernel could not be put into $(JUPYTER); remove that folder and run make lab again." >&2; exit 1; }
	@$(JUPYTER)/bin/python tools/with_args.py -m jupyterlab

test: lint book ## lint, build the site, run all tests, and at smoke scale the notebooks that have one
	RNNLIB_SCALE=smoke $(BIN)/pytest -n logical --maxprocesses 4 --dist worksteal --nbmake --nbmake-timeout 300 tests notebooks

format: $(INSTALLED) ## reformat the Python files and mend what ruff can mend
	$(BIN)/ruff check --fix --exclude notebooks .
	$(BIN)/ruff format .

shapes: book ## print height, first picture, visible code and smallest text of every page
	@$(BIN)/python tools/shapes.py

serve: book ## show the site on http://localhost:8000 (PORT= for another port)
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html "$${PORT:-8000}"

reproduce: $(INSTALLED) ## train the paper's own grid of runs again, in minutes (ARGS="--device cuda")
	@$(WITH_ARGS) -m rnnlib run paper --scale paper --to rnnlib/lab/results

reproduce-all: $(INSTALLED) ## compute every stored result again but the runs through time: many teachers, texts, gates (hours)
	@$(WITH_ARGS) -m rnnlib run all --scale paper --to rnnlib/lab/results

bench: $(INSTALLED) ## time the scan on this machine (ARGS="--device cuda --runs 20")
	@$(WITH_ARGS) tools/bench.py

kernels: $(INSTALLED) ## compile the kernels for GPUs and check layouts, accesses and registers, on triton 3.6.0 too
	RNNLIB_LONG_TESTS=1 $(BIN)/pytest -q tests/library/test_scan_cuda_layout.py
	$(BIN)/pip install --quiet --no-deps --upgrade --target _build/triton-3.6.0 triton==3.6.0
	RNNLIB_LONG_TESTS=1 PYTHONPATH="$$PWD/_build/triton-3.6.0" $(BIN)/pytest -q tests/library/test_scan_cuda_layout.py

course: ## write the notebooks without solutions, for students, into _build/course
	@"$${HOST:-$$PYTHON}" tools/course.py

pairs: $(INSTALLED) ## carry edits from one half of a notebook pair to the other (KEEP=py or KEEP=ipynb where both were edited)
	@$(BIN)/python tools/pairs.py --keep="$$KEEP"

bounds: $(INSTALLED) ## write down which commit first had the range of each new or changed claim
	@$(BIN)/python tools/bounds.py

pins: $(INSTALLED) ## write constraints.txt from the versions in .venv
	@$(BIN)/python tools/pin.py

set-repository: ## write the repository's address everywhere it is needed: make set-repository URL=https://...
	@"$${HOST:-$$PYTHON}" tools/repository.py

colab: ## push the executed notebooks and the students' copies to the branch that Colab opens (REMOTE=origin)
	@"$${HOST:-$$PYTHON}" tools/colab.py "$${REMOTE:-origin}"

clean: ## remove what was built, but not .venv and what `make pairs` saved
	@test ! -d _build || find _build -mindepth 1 -maxdepth 1 ! -name pairs -exec rm -rf {} +
