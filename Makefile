# The two commands: `make demo` and `make test`. `make help` lists the rest.

# How many cores snakemake may use, and what pytest is given beside its own
# configuration: make demo CORES=4; make test PYTEST_ARGS="-k cqt"
CORES ?= all
PYTEST_ARGS ?=
SECTIONS ?=
BENCH_ARGS ?=

# Trainings side by side: one on a GPU; without a GPU as many as there are cores.
GPUS ?= $(shell if [ -e /dev/nvidia0 ]; then echo 1; else nproc; fi)

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help demo study robust test bench lint format lock setup setup-test setup-gpu setup-peer check-cluster clean-setup fetch sbom

# What a shell start-up file, an activated environment or a site's modules may
# have set, and what would make our Python look in the wrong place for modules,
# or snakemake take another profile than profiles/default.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONUSERBASE PYTHONWARNINGS PYTHONOPTIMIZE
unexport PYTHONINSPECT PYTHONEXECUTABLE PYTHONPLATLIBDIR PYTHONPYCACHEPREFIX PYTHONDONTWRITEBYTECODE
unexport VIRTUAL_ENV __PYVENV_LAUNCHER__ SNAKEMAKE_PROFILE PYTEST_ADDOPTS PYTEST_PLUGINS
unexport RUFF_CONFIG MYPYPATH MYPY_CACHE_DIR

# snakemake and matplotlib keep caches in the home folder, and stop or complain where
# there is none or it cannot be written: then they get one here.
HERE := $(CURDIR)
WITH_VENV = PATH="$(HERE)/.venv/bin:$$PATH"; export PATH; \
    if [ ! -d "$${HOME:-}" ] || [ ! -w "$$HOME" ]; then \
        HOME="$(HERE)/.snakemake/home"; export HOME; mkdir -p "$$HOME"; fi;

help:  ## say what can be made
	@echo 'make demo        run the experiment of config/config.yaml and make results/report.html'
	@echo 'make study       the paper'"'"'s open questions, in the folder study (config/study.yaml; can be stopped and called again)'
	@echo 'make robust      the robust transcriber, three seeds, in the folder robust (config/robust.yaml; hours)'
	@echo 'make test        format, lint, types and tests'
	@echo 'make bench       measure speed and memory, and write docs/performance.md (25 minutes)'
	@echo 'make lint        format, lint and types alone'
	@echo 'make format      put the code into the format that lint asks for'
	@echo 'make setup       make .venv and .venv-peer (demo and test do this themselves)'
	@echo 'make setup-test  the same, with the test tools'
	@echo 'make setup-gpu   the same for NVIDIA GPUs; demo and test then use that one (make clean-setup ends it)'
	@echo 'make setup-peer  make .venv-peer alone: basic-pitch, which the models are compared with'
	@echo 'make check-cluster  look at the queue that a profile submits to, before the first run (PROFILE=profiles/lsf)'
	@echo 'make clean-setup remove .venv and .venv-peer'
	@echo 'make lock        resolve envs/*.in anew into the lock files and conda environments (UPGRADE=1: raise them)'
	@echo 'make sbom        list the licence and the hashes of all that is fetched: docs/licences.csv, envs/sbom.cdx.json'
	@echo
	@echo 'Variables: CORES=4, PYTHON=/path/to/python3.12, DISK_GB=4, PYTEST_ARGS="-k cqt",'
	@echo '           SECTIONS="training shards", BENCH_ARGS="--resume --demo FOLDER"'

demo: setup
	@# What the base model needs is made first; the features of the scored splits beside its training.
	@$(WITH_VENV) snakemake --cores $(CORES) --resources gpu=$(GPUS) --prioritize base
	@$(WITH_VENV) PYTHONPATH=workflow python -m at4ramt.report.terminal results

# In folders of their own: other results stay as they are, and what is fetched is shared.
study: setup
	@mkdir -p study && ln -sfn ../resources study/resources
	@$(WITH_VENV) snakemake --directory study --configfile config/config.yaml config/study.yaml --cores $(CORES) \
	    --resources gpu=$(GPUS) --prioritize base

robust: setup
	@mkdir -p robust && ln -sfn ../resources robust/resources
	@$(WITH_VENV) snakemake --directory robust --configfile config/config.yaml config/robust.yaml --cores $(CORES) \
	    --resources gpu=$(GPUS) --prioritize base

# Nothing else should run on the machine meanwhile. A finished demo, here or in a folder that
# BENCH_ARGS names, is looked at for how much of its time was not computing.
bench: setup-test
	@$(WITH_VENV) PYTHONPATH=workflow python -m benchmarks.run $(SECTIONS) $(BENCH_ARGS)

# Needs no set-up of ours: that is one of the things it looks at.
check-cluster:
	@$(WITH_VENV) PYTHONPATH=workflow python -m at4ramt.cluster.check $(if $(PROFILE),--profile $(PROFILE))

test: lint fetch
	@$(WITH_VENV) python -m pytest $(PYTEST_ARGS)

# The tests render a few of the fetched performances; each archive is fetched once.
fetch: setup-test
	@$(WITH_VENV) snakemake --cores $(CORES) --quiet all -- fetch_sources

lint: setup-test
	@$(WITH_VENV) set -e; \
	echo 'ruff'; ruff check --quiet .; \
	ruff format --diff --quiet . || { echo 'make format mends this'; exit 1; }; \
	echo 'snakefmt'; snakefmt --check Snakefile workflow/rules || { echo 'make format mends this'; exit 1; }; \
	echo 'mypy'; mypy --no-error-summary; \
	echo 'snakemake --lint'; snakemake --lint

format: setup-test
	@$(WITH_VENV) ruff check --quiet --fix .; ruff format .; snakefmt Snakefile workflow/rules

setup:
	@envs/setup.sh run
	@envs/setup.sh peer

setup-test:
	@envs/setup.sh test
	@envs/setup.sh peer

setup-gpu:
	@envs/setup.sh gpu
	@envs/setup.sh peer

setup-peer:
	@envs/setup.sh peer

clean-setup:
	rm -rf .venv .venv-peer

# After make lock: what was raised is installed first, and its licences read there.
sbom: setup-test
	@$(WITH_VENV) python -I envs/make_sbom.py

lock:
	@python=$$(envs/setup.sh python) && "$$python" -I envs/make_lock.py $(if $(UPGRADE),--upgrade)
