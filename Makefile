# `make repro` and `make test` are the usual commands; `make help` lists all.

PYTHON ?= python3
BIN := .venv/bin
# For every command: the environment's tools first on the path, no telemetry
export PATH := $(CURDIR)/$(BIN):$(PATH)
export MLFLOW_DISABLE_TELEMETRY := true
# Tests in parallel: a process per core, up to four; whole files, in the order of tests/conftest.py
PARALLEL := --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: help setup repro mnist headlines push gc lint test test-all test-campaigns test-browser test-ray check audit bench bench-gpu ui promote track report book lock
.DEFAULT_GOAL := help

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/installed  ## install into .venv; again only when requirements.lock changes

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "convlab needs Python 3.11 or newer: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv .venv
	$(BIN)/python .ci/install.py
	pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

repro: setup  ## run the pipeline on the selected experiments, then show where the results are
	@convlab validate
	dvc repro
	@$(MAKE) --no-print-directory dvc_plots/results/index.html
	@convlab results
	@convlab verify

dvc_plots/results/index.html: dvc.lock dvc.yaml $(wildcard .dvc/plots/*.*)
	dvc plots show --out dvc_plots/results

mnist: setup  ## R0 on the real MNIST: baseline, grid, L2 study, to early stopping (EPOCHS=1: a quick look on a CPU)
	dvc exp run -S 'run=[mnist_vgg]' -S 'run_sweeps=[mnist_vgg_l2,mnist_vgg_stride_kernel]' \
		$(if $(EPOCHS),-S '++experiments.mnist_vgg.epochs=$(EPOCHS)')

headlines: setup  ## surpass every report's headline accuracy on two cores (NAMES=headline_mnist: one of them)
	convlab headlines $(NAMES)

push: setup  ## push all computed outputs, selected now or not, to DVC's remote
	python -m convlab.pipeline.kept dvc push

gc: setup  ## remove from DVC's cache what dvc.lock does not mention (plain `dvc gc -w` removes what is not selected)
	python -m convlab.pipeline.kept dvc gc --workspace

lint: setup  ## formatting, ruff's rules, and the type checker
	ruff format --check
	ruff check
	mypy

test: setup  ## unit tests, and the pipeline for real in a temporary clone
	pytest $(PARALLEL) -m 'not campaign'

test-all: lint test test-campaigns  ## lint, the tests, and the slow ones

test-campaigns: setup  ## only the slow tests (fault injection, fuzzing, every experiment, a GPU session)
	pytest $(PARALLEL) -m campaign

test-browser: setup  ## open the book's pages, and DVC's of plots, in Chromium (`apt-get install chromium`; SCREENSHOTS=folder: with pictures)
	pip install --quiet --disable-pip-version-check --no-build-isolation -e '.[export,browser]'
	-@python -c 'from convlab.book import runtime; runtime.fetch()'
	pytest tests/browser tests/unit/test_export.py tests/unit/test_inside.py -rs \
		$(if $(CI),--no-skips) $(if $(SCREENSHOTS),--screenshots $(SCREENSHOTS))

test-ray: setup  ## the executors with Ray, which this installs as well (requirements-ray.lock)
	pip install --quiet --disable-pip-version-check --require-hashes -r requirements-ray.lock
	pytest tests/unit/test_executors.py tests/unit/test_ray_faults.py tests/unit/test_ray_driver.py -rs $(if $(CI),--no-skips)

check: setup  ## the gate: exit status 1 when a metric is below its threshold in studies.yaml
	@convlab check

# In an environment of its own, so that pip-audit is not part of what it audits.
audit:  ## check requirements.lock for known vulnerabilities (needs the network; .ci/accepted-vulnerabilities.txt)
	$(PYTHON) -m venv .audit
	.audit/bin/pip install --quiet --disable-pip-version-check pip-audit
	.audit/bin/pip-audit --requirement requirements.lock --require-hashes --disable-pip --strict --progress-spinner off \
		$(shell sed -n 's/^\([A-Z][A-Z]*-[^ ]*\) .*/--ignore-vuln \1/p' .ci/accepted-vulnerabilities.txt)

bench: setup  ## time training against the plain loop, Lightning and Keras (10 minutes; see bench/README.md)
	python bench/speed/suite.py
	python bench/speed/table.py

bench-gpu: setup  ## the same on a GPU, against the plain loop
	python bench/speed/suite.py --device cuda --resume

ui: setup  ## MLflow on http://127.0.0.1:5000 with every run (PORT=5001: another port)
	@convlab ui $(if $(PORT),--port $(PORT))

promote: setup  ## register the best network of each data set as champion in MLflow
	@convlab promote

track: setup  ## mirror every result into MLflow, without duplicates
	@convlab track

report: setup  ## write the tables of results and docs/configuration.md
	@convlab report

# What the explore page needs is not pinned, and comes from two registries: without it the book says what it lacks.
book: setup  ## write the book of results into docs/book, a static site that opens offline, unless it is up to date
	@python -c 'from importlib.util import find_spec as f; exit(not (f("onnx") and f("onnxscript")))' || \
		pip install --quiet --disable-pip-version-check --no-build-isolation -e '.[export]' 2>/dev/null || true
	@python -c 'from convlab.book import runtime; runtime.fetch()' 2>/dev/null || true
	@convlab book

lock: setup  ## pin new versions: ranges in pyproject.toml → requirements.lock, requirements-ray.lock
	uv pip compile pyproject.toml --extra pipeline --extra dev --universal --python-version 3.11 --generate-hashes \
		--upgrade --no-emit-index-url --no-header --output-file requirements.lock
	uv pip compile pyproject.toml --extra pipeline --extra dev --extra ray --universal --python-version 3.11 --generate-hashes \
		--upgrade --no-emit-index-url --no-header --constraint requirements.lock --output-file requirements-ray.lock
