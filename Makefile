# Every target does its own set-up, once: .venv holds the pinned set, .venv-latest the newest one.
PYTHON ?= python3
PINNED := .venv/.ready
LATEST := .venv-latest/.ready
NODE := build/node/.ready
# Java's classes, with which tests start Spark in half the time.
CLASSES := .venv/spark.jsa
LATEST_CLASSES := .venv-latest/spark.jsa
export PYSPARK_PYTHON ?= $(CURDIR)/.venv/bin/python
export PYSPARK_DRIVER_PYTHON ?= $(PYSPARK_PYTHON)
DATA ?= build/mnist_png
# Tests wait for Spark more than they compute, so two processes take half the time; a file stays in one of them, and
# they come in the order of tests/conftest.py.
PROCESSES ?= 2
PYTEST := -m pytest -q -n $(PROCESSES) --dist loadfile --no-loadscope-reorder --durations=10
QUICK := not spark and not cluster and not slow and not petastorm

.PHONY: help flow demo demo-stack demo-table test test-quick test-spark test-faults test-hosts test-flow flow-pictures test-latest wheel notebooks notebooks-latest lab-pages docs lint type format clean
.PHONY: bench-train bench-horovod bench-conversions bench-similarity bench-transform bench-stack bench-small-rows bench-tables bench-wide-table bench-anomalies bench-bundle bench-connect bench-flow bench-hosts record

help:
	@echo "make demo         train LeNet on the shipped digits with two ranks and Horovod, and test it"
	@echo "make demo-stack   stack two networks, a forest and a regression on the shipped digits"
	@echo "make demo-table   learn the species of the shipped penguins from raw columns, with two ranks, and test it"
	@echo "make flow         serve a page on the shipped digits and penguins, and print its address: see data, train, look at models"
	@echo "make test         run the tests on the pinned set of dependencies"
	@echo "make test-quick   run those that need no Spark session: the loop to work in"
	@echo "make test-spark   run the others of these"
	@echo "make test-faults  run the slow ones: executors and drivers killed, ranks that fail or stand still, leaks"
	@echo "make test-hosts   train on hosts made of network namespaces, which needs root: links cut, strangers, other networks"
	@echo "make test-flow    use the web face as a person would, in Chromium"
	@echo "make test-latest  run the suites where the package meets Spark, NumPy and pandas, on the newest of these"
	@echo "make wheel        build the wheel, install it into an empty environment and use it there"
	@echo "make notebooks    execute the lab's notebooks; executed copies for Jupyter are in build/notebooks"
	@echo "make docs         build the documentation's site in build/docs/site; a broken link is an error"
	@echo "make lint type    check style and types; make format mends style"
	@echo "make record MNIST=folder  MNIST by a plain network: the mean test error of three seeds"
	@echo "make bench-train  the training loop against plain PyTorch, a fit's overhead, memory, messages and their compression"

demo: $(PINNED) build/mnist_png
	SPARK_LOCAL_IP=127.0.0.1 .venv/bin/spark-submit --properties-file conf/spark-defaults-local.conf \
		jobs/train_image_classifier.py --data $(DATA) --workers 2 --collective horovod --save build/lenet

demo-stack: $(PINNED) build/mnist_png
	SPARK_LOCAL_IP=127.0.0.1 .venv/bin/spark-submit --properties-file conf/spark-defaults-local.conf \
		jobs/stack_images.py --data $(DATA) --folds 3 --epochs 4 --save build/stack

demo-table: $(PINNED)
	SPARK_LOCAL_IP=127.0.0.1 .venv/bin/spark-submit --properties-file conf/spark-defaults-local.conf \
		jobs/train_table.py --data data/penguins.csv --null NA --label species --workers 2 --save build/penguins

# Models have a folder of their own: that of the digits is unpacked anew at times.
flow: $(PINNED) build/mnist_png
	@mkdir -p build/flow_models
	SPARK_LOCAL_IP=127.0.0.1 .venv/bin/python -m sparkwater.flow --master 'local[2]' --folder $(DATA) --folder data \
		--folder build/flow_models

# Spark's settings for tests on the pinned set.
test-spark test-faults test-hosts test-flow: export SPARK_CONF_DIR := $(CURDIR)/tests/plans

test: $(NODE) test-quick test-spark

test-quick: $(PINNED)
	.venv/bin/python $(PYTEST) -m "not newest and $(QUICK)" --ignore tests/hosts --ignore tests/flow/browser tests

test-spark: $(PINNED) $(CLASSES) $(NODE)
	.venv/bin/python $(PYTEST) -m "not newest and not ($(QUICK))" --ignore tests/faults --ignore tests/hosts --ignore tests/flow/browser tests

test-faults: $(PINNED) $(CLASSES)
	.venv/bin/python $(PYTEST) tests/faults

test-hosts: $(PINNED) $(CLASSES)
	.venv/bin/python $(PYTEST) tests/hosts

test-flow: $(PINNED) $(NODE)
	scripts/setup_browser.sh build/node
	.venv/bin/python -m pytest -q --durations=10 tests/flow/browser

# Pictures of docs/flow.md, on the shipped digits: look at them before they are committed.
flow-pictures: $(PINNED)
	scripts/setup_browser.sh
	.venv/bin/python -m pytest -q tests/flow/browser/pictures.py

test-latest: $(LATEST) $(LATEST_CLASSES) $(NODE)
	PYSPARK_PYTHON=$(CURDIR)/.venv-latest/bin/python PYSPARK_DRIVER_PYTHON=$(CURDIR)/.venv-latest/bin/python \
		.venv-latest/bin/python $(PYTEST) -m "not house" --ignore tests/faults --ignore tests/hosts --ignore tests/flow/browser tests

wheel:
	scripts/smoke_wheel.sh $(PYTHON) constraints/pinned.txt

# Two at a time: each waits for Spark more than it computes.
notebooks: $(PINNED) build/mnist_png
	ls notebooks/0*.py | SPARK_LOCAL_IP=127.0.0.1 xargs -n 1 -P 2 .venv/bin/python -m scripts.notebooks run build/notebooks

# The same on the newest dependencies.
notebooks-latest: $(LATEST) build/mnist_png
	ls notebooks/0*.py | SPARK_LOCAL_IP=127.0.0.1 PYSPARK_PYTHON=$(CURDIR)/.venv-latest/bin/python \
		PYSPARK_DRIVER_PYTHON=$(CURDIR)/.venv-latest/bin/python \
		xargs -n 1 -P 2 .venv-latest/bin/python -m scripts.notebooks run build/notebooks-latest

# The site shows what they gave: docs/lab is made of their outputs, and committed.
lab-pages: notebooks
	.venv/bin/python -m scripts.notebooks pages build/notebooks

docs: $(PINNED)
	.venv/bin/python -m scripts.pages build/docs
	@# Quiet, it would count no warning as an error.
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --config-file build/docs/mkdocs.yml
	@echo "open build/docs/site/index.html, or 'python3 -m http.server --directory build/docs/site' for its search"

lint: $(PINNED)
	@.venv/bin/ruff format --check . && .venv/bin/ruff check . || { echo "'make format' mends most of this"; exit 1; }

format: $(PINNED)
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

type: $(PINNED)
	@.venv/bin/mypy && .venv/bin/python scripts/check_typing.py || { echo "add or correct the type hints at the lines above"; exit 1; }

bench-train: $(PINNED) build/mnist_png
	.venv/bin/python benchmarks/bench_train.py
	.venv/bin/python benchmarks/bench_fit_overhead.py
	.venv/bin/python benchmarks/bench_memory.py
	.venv/bin/python benchmarks/bench_communication.py
	.venv/bin/python benchmarks/bench_compression.py

bench-small-rows: $(PINNED)
	.venv/bin/python benchmarks/bench_small_rows.py

# Tables and references are those of packages that are installed: pip install plotnine statsmodels river xgboost h2o.
bench-tables: $(PINNED)
	.venv/bin/python benchmarks/bench_tables.py

bench-wide-table: $(PINNED)
	.venv/bin/python benchmarks/bench_wide_table.py

bench-anomalies: $(PINNED)
	.venv/bin/python benchmarks/mnist_anomalies.py --data $(or $(MNIST),$(error make bench-anomalies MNIST=folder with MNIST's idx files))

# MNIST's four idx files, as they are published; the repository ships a part of them only.
record: $(PINNED)
	.venv/bin/python benchmarks/mnist_record.py --data $(or $(MNIST),$(error make record MNIST=folder with MNIST's idx files))

bench-horovod: $(PINNED) build/mnist_png
	.venv/bin/python benchmarks/bench_horovod_estimator.py

bench-conversions: $(PINNED) build/mnist_png
	.venv/bin/python benchmarks/bench_petastorm.py $(if $(MNIST),--data $(MNIST))
	.venv/bin/python benchmarks/bench_vectors.py
	.venv/bin/python benchmarks/bench_images.py

bench-similarity: $(PINNED) build/mnist_png
	.venv/bin/python benchmarks/bench_similarity.py
	.venv/bin/python benchmarks/bench_deep_features.py

bench-transform: $(PINNED) build/mnist_png
	.venv/bin/python benchmarks/bench_transform.py

bench-stack: $(PINNED)
	.venv/bin/python benchmarks/bench_stack.py

bench-flow: $(PINNED) build/mnist_png
	.venv/bin/python benchmarks/bench_flow.py
	.venv/bin/python benchmarks/bench_flow_sizes.py

bench-hosts: $(PINNED) build/mnist_png
	.venv/bin/python benchmarks/bench_hosts.py

bench-connect: $(PINNED) build/mnist_png
	.venv/bin/python benchmarks/bench_connect.py

bench-bundle: $(PINNED) $(NODE) build/stack
	.venv/bin/python benchmarks/bench_bundle.py
	.venv/bin/python benchmarks/bench_stacked_bundle.py

clean:
	rm -rf build .venv .venv-latest *.egg-info

$(PINNED): pyproject.toml setup.py constraints/pinned.txt scripts/setup_env.sh
	scripts/setup_env.sh $(PYTHON) .venv constraints/pinned.txt petastorm,dev
	@touch $@

$(LATEST): pyproject.toml setup.py constraints/latest.txt scripts/setup_env.sh
	scripts/setup_env.sh $(PYTHON) .venv-latest constraints/latest.txt test
	@touch $@

$(CLASSES) $(LATEST_CLASSES): %/spark.jsa: %/.ready scripts/archive_classes.py
	$*/bin/python scripts/archive_classes.py $@

$(NODE): scripts/setup_node.sh
	scripts/setup_node.sh build/node
	@touch $@

build/stack: | $(PINNED) build/mnist_png
	@$(MAKE) demo-stack

# Unpacked beside its place and renamed: a stopped make leaves no half a tree.
build/mnist_png: data/mnist_png.tar.gz
	@rm -rf build/.mnist_png && mkdir -p build/.mnist_png
	tar -xzf $< -C build/.mnist_png
	@rm -rf $@ && mv build/.mnist_png $@ && touch $@
