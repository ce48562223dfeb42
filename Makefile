# From a bare clone with only Python 3.11 or newer:  make tour, then make test.
# Works with GNU make 3.81 and later.

VENV        ?= .venv
EXTRAS      ?= notebooks,test,text,video,cluster
# empty for the newest versions that pyproject.toml allows: make test CONSTRAINTS=
CONSTRAINTS ?= constraints.txt
# the same versions with the hashes of their files, which are required then; empty for none: make tour LOCK=
LOCK        ?= $(if $(filter constraints.txt,$(CONSTRAINTS)),lock.txt)
# more arguments for pip, for instance another build of torch (see README.md)
PIP_ARGS    ?=
PYTEST_ARGS ?=
# processes that share the test suite; a file of tests stays in one
JOBS        ?= 2
# the size at which notebooks run: ci, demo or long
SIZE        ?= ci
# names of notebooks for the regression targets, such as 01_cnm; none for all
NOTEBOOKS   ?=
# which study to compute: make study NAME=cnm
NAME        ?= cnm
# how many changed inputs: make fuzz N=100000, of the day's seed unless SEED names another
N           ?= 2000
SEED        ?=
# of how many file operations make crash takes one: EVERY=1 for all of them
EVERY       ?= 10

BIN   := $(VENV)/bin
STAMP := $(VENV)/.installed

# the first Python that is new enough and can make a virtual environment
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
  if $$p -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
  then command -v $$p; break; fi; done)

.DEFAULT_GOAL := help
.PHONY: help install tour test lab notebooks regression regression-learn regression-mutations figures site students gif pair lint format fuzz crash bench bench-gpu study lock audit clean distclean

help: ## say what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' Makefile

tour: $(STAMP) ## run notebooks/00_tour and say where its page, figures and numbers are
	@$(BIN)/vmlkit tour

test: $(STAMP) ## run the whole test suite
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(PYTEST_ARGS)

lab: $(STAMP) ## open the repository in JupyterLab, the tour first
	@$(BIN)/python -m tools.lab

notebooks: $(STAMP) ## run every notebook (SIZE=ci, demo or long); copies with outputs in site/executed
	@$(BIN)/python -m tools.pages notebooks --size $(SIZE)

regression: $(STAMP) ## run the notebooks and compare their numbers with tests/regression
	@$(BIN)/python -m tools.regression check $(NOTEBOOKS)

regression-learn: $(STAMP) ## learn the bands of NOTEBOOKS (default: all) again over ten seeds (hours)
	@OMP_NUM_THREADS=1 $(BIN)/python -m tools.regression learn $(NOTEBOOKS)

regression-mutations: $(STAMP) ## show that the comparison bites: break the package, and every page must notice
	@OMP_NUM_THREADS=1 $(BIN)/python -m tools.regression mutations $(NOTEBOOKS)

figures: notebooks ## make the pictures of figures/ again; every one is drawn by a notebook
	@ls -l figures

site: $(STAMP) ## render all notebooks into site/, running those whose last run is out of date
	@$(BIN)/python -m tools.pages site

students: $(STAMP) ## write all notebooks without their solutions into site/students
	@$(BIN)/python -m tools.pages students

gif: $(STAMP) ## film a run whose negatives go and come back into figures/scrubber.gif (needs Chromium)
	@test -f runs/film/metrics.json || $(BIN)/vmlkit train lnp-cpl --variant follow-sentences --run-dir runs/film \
	  --set train.epochs=20 --set train.strip_pixels=64 --set data.train_videos=700
	@test -f runs/00_tour/metrics.json || $(BIN)/vmlkit tour
	@$(BIN)/python tools/scrubber_gif.py runs/film figures/scrubber.gif --beside runs/00_tour \
	  --record results/film/scrubber.json
	@$(BIN)/python -m tools.pages readme

# the second direction only puts the headers and tags of the .py into jupytext's own order
pair: $(STAMP) ## bring notebooks/*.ipynb in step with the notebooks/*.py beside them
	@$(BIN)/ruff format --quiet notebooks/*.py
	@$(BIN)/python -m jupytext --quiet --to ipynb --update notebooks/*.py
	@$(BIN)/python -m jupytext --quiet --to py:percent notebooks/*.ipynb

lint: $(STAMP) ## check format, style and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: $(STAMP) ## put format and style right, as far as a program can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

fuzz: $(STAMP) ## put N changed inputs (default 2000) through every reader; SEED=20261128 repeats a day
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.runner --cases $(N) $(if $(SEED),--seed $(SEED))

crash: $(STAMP) ## kill runs of each family at N random instants (default 50), and before every EVERY-th file operation
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.crashing.runner --points $(EVERY) \
	  --kills $(if $(filter command line,$(origin N)),$(N),50) $(if $(SEED),--seed $(SEED))

bench: $(STAMP) ## run the benchmarks; times are printed, nothing is asserted
	@set -e; for name in $$(cd benchmarks && ls [a-z]*.py); do echo "$$name"; $(BIN)/python -m benchmarks.$${name%.py}; done

bench-gpu: $(STAMP) ## measure steps on a card, below five minutes, and write benchmarks/results/step_gpu.json
	@$(BIN)/python -m benchmarks.card --device cuda --json benchmarks/results/step_gpu.json
	@$(BIN)/python -m tools.pages docs

study: $(STAMP) ## compute what is missing of the study NAME, such as cpl (long; goes on after a kill; docs/studies.md)
	@$(BIN)/vmlkit study run $(NAME)

install: $(STAMP) ## make .venv and install into it, without running anything

$(STAMP): pyproject.toml constraints.txt lock.txt
	@test -n "$(PYTHON)" || { echo "vmlkit needs Python 3.11 or newer with its venv module (on Debian and Ubuntu:" \
	  "apt install python3-venv); name another one with: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@"$(PYTHON)" tools/bootstrap.py --venv $(VENV) --extras $(EXTRAS) --constraints "$(CONSTRAINTS)" \
	  --lock "$(LOCK)" --pip-args "$(PIP_ARGS)"
	@touch $@

lock: $(STAMP) ## write lock.txt, the pins with the hashes of their files (needs uv)
	@$(BIN)/python tools/lock.py

audit: $(STAMP) ## look the installed versions up in the database of known vulnerabilities (needs pip-audit)
	@$(BIN)/python -m pip check
	@$(BIN)/python -m pip_audit --strict --require-hashes --disable-pip -r lock.txt

clean: ## remove what can be made again (not .venv, and not runs/, which is your work)
	rm -rf build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find vmlkit tests tools benchmarks notebooks -name __pycache__ -o -name .ipynb_checkpoints | xargs rm -rf

distclean: clean ## clean, and remove .venv too
	rm -rf $(VENV)
