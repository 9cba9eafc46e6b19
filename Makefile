# Every target makes the .venv it needs. `make help` lists them.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BIN := .venv/bin
INSTALLED := .venv/installed
PORT ?= 8000
REMOTE ?= origin
# The interpreter that runs tools/install.py, which chooses the one for .venv. Any Python 3 will do for that.
HOST := $(firstword $(foreach name,python3 python3.13 python3.12 python3.11 $(PYTHON),$(shell command -v $(name) 2>/dev/null)))

.PHONY: help book pdf slides test lint format serve reproduce bench course pairs pins set-repository colab clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 24

$(INSTALLED): pyproject.toml constraints.txt package.json package-lock.json tools/install.py
	@test -n "$(HOST)" || { echo "make: Python 3.11 to 3.13 is needed and was not found: install it." >&2; exit 1; }
	@"$(HOST)" tools/install.py --python "$(PYTHON)"

book: $(INSTALLED) ## execute the notebooks and build the site into _build/html
	@$(BIN)/python tools/build.py

slides: book ## build the slides of the three sessions with the site, and say where they are
	@echo "Open one of:" && ls "$(CURDIR)"/_build/html/slides/*.html

pdf: $(INSTALLED) ## print the whole book into _build/book.pdf (needs Chromium or Chrome)
	@$(BIN)/python tools/pdf.py

lint: $(INSTALLED) ## check style and notebook pairs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tools/pairs.py --check

test: lint book ## lint, build the site, run all tests and all notebooks at smoke scale
	RNNLIB_SCALE=smoke $(BIN)/pytest -n logical --maxprocesses 4 --dist worksteal --nbmake --nbmake-timeout 300 tests notebooks

format: $(INSTALLED) ## reformat the Python files and mend what ruff can mend
	$(BIN)/ruff check --fix --exclude notebooks .
	$(BIN)/ruff format .

serve: book ## show the site on http://localhost:8000 (PORT= for another port)
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html $(PORT)

reproduce: $(INSTALLED) ## compute the stored results again at the paper's size, but those through time (ARGS="--device cuda")
	@$(BIN)/python -m rnnlib run all --scale paper $(ARGS)

bench: $(INSTALLED) ## time the scan on this machine (ARGS="--device cuda --runs 20")
	@$(BIN)/python tools/bench.py $(ARGS)

course: ## write the notebooks without solutions, for students, into _build/course
	@"$(HOST)" tools/course.py

pairs: $(INSTALLED) ## bring every .ipynb up to date with its .py
	@$(BIN)/python tools/pairs.py

pins: $(INSTALLED) ## write constraints.txt from the versions in .venv
	@$(BIN)/python tools/pin.py

set-repository: ## write the repository's address everywhere it is needed: make set-repository URL=https://...
	@"$(HOST)" tools/repository.py "$(URL)"

colab: ## push the executed notebooks and the students' copies to the branch that Colab opens (REMOTE=origin)
	@"$(HOST)" tools/colab.py "$(REMOTE)"

clean: ## remove the built site, not .venv
	rm -rf _build
