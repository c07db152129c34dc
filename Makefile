# Commands for users. They need Python ≥ 3.11, make and git; everything else is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SNAKEMAKE := $(BIN)/snakemake --cores all
comma := ,
KINDS := . logs benchmarks

.PHONY: run test test-all test-slurm bench docs ui status clean format reference

run: $(VENV)/ready  ## set up and run the default study
	$(SNAKEMAKE) --quiet rules reason

test: $(VENV)/ready  ## set up and run the tests (11 to 20 minutes on 2 cores)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow and not real"

test-all: $(VENV)/ready  ## run all tests, also slow ones and those that need real data (AUSCULT_REAL_DATA)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-slurm: $(VENV)/ready  ## start Slurm on one node and run a small study on it (as root on Debian: slurm-wlm, munge)
	PYTHONPATH=.:workflow $(BIN)/python tests/slurm/one_node.py

bench: $(VENV)/ready  ## measure speeds and write docs/benchmarks.md (half an hour on a machine without other load)
	PYTHONPATH=.:workflow $(BIN)/python -m benchmarks

docs: $(VENV)/ready  ## build the pages of docs/ as a web site in site/
	$(BIN)/mkdocs build --quiet

ui: $(VENV)/ready  ## open MLflow, reachable from this machine only
	$(BIN)/mlflow ui --host 127.0.0.1 --backend-store-uri sqlite:///results/mlflow.db

status: $(VENV)/ready  ## print which jobs of STUDIES=a,b (ROOT=DIR) are done, running and remaining; starts nothing
	@$(BIN)/python workflow/scripts/status.py "$(STUDIES)" "$(ROOT)"

reference: $(VENV)/ready  ## write config/README.md and config/schema.json from the models
	PYTHONPATH=workflow $(BIN)/python -m auscult.reference

format: $(VENV)/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile rules

clean:  ## remove all results, or those of STUDIES=a,b (keeps raw data, shared caches and tracked runs)
	@case "$(STUDIES)" in *[!A-Za-z0-9_,-]*) echo "STUDIES: give names of studies, separated by commas" >&2; exit 1;; esac
	rm -rf $(if $(STUDIES),$(foreach study,$(subst $(comma), ,$(STUDIES)),$(foreach kind,$(KINDS),results/$(kind)/$(study))),results)

$(VENV)/ready: requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "auscult needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	touch $@
