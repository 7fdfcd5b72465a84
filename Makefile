# What a person types. Everything is installed into .venv and nowhere else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORES ?= all
INSTALLED := $(VENV)/.installed
TOOLS := $(VENV)/.tools
# Where envs/*.lock are for: exits with 0 there.
LOCKED := import platform, sys; sys.exit((sys.version_info[:2], sys.platform, platform.machine()) != ((3, 11), "linux", "x86_64"))

# What installs must not run beside what uses it.
.NOTPARALLEL:
.PHONY: reproduce test test-fast test-long test-cluster torture lock lint format bench docs ffcv clean

reproduce: $(INSTALLED)  ## install, run the quick scale, name its report
	$(BIN)/snakemake --cores $(CORES) --quiet rules
	@echo "report: results/quick/report.html (and report.md beside it)"

test: $(TOOLS)  ## the test suite, but those of test-long and test-cluster
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not long and not cluster"

test-long: $(TOOLS)  ## those that take long beside what they add: compiled training, the whole DAG, every conda environment, FFCV
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m long

test-fast: $(TOOLS)  ## without the slow tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow and not long and not cluster"

test-cluster: $(TOOLS)  ## starts a Slurm of one node (root; apt-get install slurm-wlm munge), shows jobs by their ids
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/cluster -m cluster -rs --capture=no

torture: $(TOOLS)  ## kills, full disks, bad input, hostile files, at full length; ends with a table
	$(BIN)/python -m pip install --quiet --constraint envs/constraints.txt --no-build-isolation --editable '.[torture]' || \
	  echo 'atheris, which feeds parsers, cannot be installed here: the table will say so'
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 -m "not long and not cluster" --torture=results/torture.md

# Hashes are those of the package index; the versions are the constraints' own.
define pin
	$(BIN)/uv pip compile --quiet --no-header --generate-hashes --no-annotate --no-emit-index-url \
	  --python-version 3.11.7 --python-platform x86_64-unknown-linux-gnu \
	  --extra $(1) --constraint envs/constraints.txt --output-file $(2) pyproject.toml
endef

lock: $(TOOLS)  ## envs/*.lock and reports/licences.md, anew from pyproject.toml and the constraints
	$(BIN)/python -m pip install --quiet --constraint envs/constraints.txt uv
	$(call pin,editable,envs/requirements.lock)
	$(call pin,dev,envs/requirements-dev.lock)
	$(BIN)/python envs/licences.py > reports/licences.md

lint: $(TOOLS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint > /dev/null

format: $(TOOLS)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

bench: $(INSTALLED)
	$(BIN)/softshare bench

docs: $(TOOLS)  ## tutorial and API as pages
	$(BIN)/sphinx-build -q -W --keep-going -b html reports/docs results/site
	@echo "pages: results/site/index.html"

# Alone, for FFCV asks for an OpenCV that wants a desktop's libraries, and for packages that only its GPU parts use.
ffcv: $(INSTALLED)  ## FFCV, whose Debian packages must be there: see README
	PKG_CONFIG_PATH=$(CURDIR)/envs/ffcv:$$PKG_CONFIG_PATH $(BIN)/python -m pip install --quiet --constraint envs/constraints.txt \
		--no-deps ffcv numba llvmlite opencv-python-headless
	$(BIN)/python -c 'import ffcv'

# By hashes where they are known; elsewhere the same versions, torch by itself first: then pip takes a build at hand.
# What builds the package itself is among them, and no build fetches anything besides.
define install
	if $(BIN)/python -c '$(LOCKED)'; then \
	  $(BIN)/python -m pip install --quiet --require-hashes --requirement envs/requirements$(1).lock && \
	  $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .; \
	else \
	  $(BIN)/python -m pip install --quiet --constraint envs/constraints.txt torch torchvision hatchling editables && \
	  $(BIN)/python -m pip install --quiet --constraint envs/constraints.txt --no-build-isolation --editable '.$(2)'; \
	fi
	touch $@
endef

$(INSTALLED): pyproject.toml envs/constraints.txt envs/requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "softshare needs Python 3.11 or newer; name one: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(call install)

$(TOOLS): $(INSTALLED) envs/requirements-dev.lock
	$(call install,-dev,[dev])

clean:
	rm -rf $(VENV) results .snakemake
