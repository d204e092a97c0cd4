# Two commands do everything: `make repro` and `make test`. `make help` lists the rest.

PYTHON ?= python3
BIN := .venv/bin
# What every command needs: the environment's tools first on the path, no telemetry
export PATH := $(CURDIR)/$(BIN):$(PATH)
export MLFLOW_DISABLE_TELEMETRY := true
# The tests in a process for each core, up to four, file by file in the order of tests/conftest.py
AT_ONCE := --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

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

dvc_plots/results/index.html: dvc.lock .dvc/plots/page.html .dvc/plots/trials.json .dvc/plots/steps.json
	dvc plots show --out dvc_plots/results

mnist: setup  ## R0 on the real MNIST: baseline, grid, L2 study, to early stopping (EPOCHS=1: a look on a CPU)
	dvc exp run -S 'run=[mnist_vgg]' -S 'run_sweeps=[mnist_vgg_l2,mnist_vgg_stride_kernel]' \
		$(if $(EPOCHS),-S '+experiments.mnist_vgg.epochs=$(EPOCHS)')

headlines: setup  ## surpass every report's headline accuracy on two cores (NAMES=headline_mnist: one of them)
	convlab headlines $(NAMES)

push: setup  ## push the outputs of all that has been computed, selected now or not, to DVC's remote
	python -m convlab.pipeline.kept dvc push

gc: setup  ## remove from DVC's cache what belongs to nothing that has been computed (`dvc gc -w`: that is selected)
	python -m convlab.pipeline.kept dvc gc --workspace

lint: setup  ## formatting, ruff's rules, and the type checker
	ruff format --check
	ruff check
	mypy

test: setup  ## unit tests, and the pipeline for real in a temporary clone
	pytest $(AT_ONCE) -m 'not campaign'

test-all: lint test test-campaigns  ## all three: lint, the tests, and the long campaigns (faults, fuzzing, every experiment, a lease)

test-campaigns: setup  ## those campaigns alone
	pytest $(AT_ONCE) -m campaign

test-browser: setup  ## open every page of the book in Chromium, which is to be installed (`apt-get install chromium`)
	pip install --quiet --disable-pip-version-check --no-build-isolation -e '.[export,browser]'
	-@python -c 'from convlab.book import runtime; runtime.fetch()'
	pytest tests/browser -rs

test-ray: setup  ## the executors with Ray, which this installs beside the rest (requirements-ray.lock)
	pip install --quiet --disable-pip-version-check --require-hashes -r requirements-ray.lock
	pytest tests/unit/test_executors.py -rs

check: setup  ## the gate: exit status 1 when a metric is under its floor in params.yaml
	@convlab check

# In an environment of its own: what looks for vulnerabilities is no part of what it looks at.
audit:  ## look requirements.lock up among the known vulnerabilities (needs the network; .ci/accepted-vulnerabilities.txt)
	$(PYTHON) -m venv .audit
	.audit/bin/pip install --quiet --disable-pip-version-check pip-audit
	.audit/bin/pip-audit --requirement requirements.lock --require-hashes --disable-pip --strict --progress-spinner off \
		$(shell sed -n 's/^\([A-Z][A-Z]*-[^ ]*\) .*/--ignore-vuln \1/p' .ci/accepted-vulnerabilities.txt)

bench: setup  ## time training against the plain loop, Lightning and Keras (10 minutes; see bench/README.md)
	python bench/speed/suite.py
	python bench/speed/table.py

bench-gpu: setup  ## the same on a GPU, against the plain loop
	python bench/speed/suite.py --device cuda --resume

ui: setup  ## MLflow on http://127.0.0.1:5000 with every run (PORT=5001: elsewhere)
	@convlab ui $(if $(PORT),--port $(PORT))

promote: setup  ## make the best network of each data set its champion in MLflow's registry
	@convlab promote

track: setup  ## mirror every result into MLflow; what is there already stays
	@convlab track

report: setup  ## write the tables of results and docs/configuration.md
	@convlab report

book: setup  ## write the book of results into docs/book: a site that opens offline, from a file
	@convlab book

lock: setup  ## pin new versions: ranges in pyproject.toml → requirements.lock, requirements-ray.lock
	uv pip compile pyproject.toml --extra pipeline --extra dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --output-file requirements.lock
	uv pip compile pyproject.toml --extra pipeline --extra dev --extra ray --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --constraint requirements.lock --output-file requirements-ray.lock
