# Everything for somebody without ROS: `make test` and `make demo` set up what they need, from PyPI.
# On a robot with ROS 2 nothing here is needed: colcon builds the package.

PYTHON ?= python3
VENV ?= .venv$(if $(filter-out python3,$(PYTHON)),-$(notdir $(PYTHON)))
BIN = $(VENV)/bin
# A second environment with nothing but the ROS 2 wheels and colcon, over which the tests in
# test/packaging build the package as on a machine with ROS.
ROS_VENV = $(VENV)-ros

READY = $(VENV)/.ready
ROS_READY = $(ROS_VENV)/.ready
SOURCES = pyproject.toml constraints.txt setup.py CMakeLists.txt package.xml $(wildcard msg/*.msg)

# A sourced ROS 2, or a Python of the wheels that runs us, must not mix with the wheels used here.
unexport AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH LD_LIBRARY_PATH PYTHONPATH
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE

.DEFAULT_GOAL = help
.PHONY: help setup test test-slow demo bench soak data train lint build-check clean

help:  ## list these targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20
	@echo '  Another Python: make PYTHON=python3.12 ..., in an environment of its own.'

setup: $(READY)  ## make the virtual environment and build the messages into it

test: $(READY) $(ROS_READY)  ## run the test suite
	$(BIN)/python -m pytest -m 'not slow' --durations=20

test-slow: $(READY) $(ROS_READY)  ## run the tests that take minutes each: Ray, compilers, accuracy
	$(BIN)/python -m pytest -m slow

demo: $(READY)  ## play a recorded drive through the node; leaves a video and a table of tracks
	$(BIN)/videomt_demo

bench: $(READY)  ## measure the engines, Hugging Face's pipeline and the node, in minutes
	$(BIN)/videomt_bench

MINUTES = 30

soak: $(READY)  ## half an hour of the node among cameras and listeners that come and go
	$(BIN)/python -m pytest test/ros/test_soak.py --soak $(MINUTES)

# Shards of the training scenes: 100 scenes of three seconds each, 300 of one second, and 200 of six
# seconds at a lower rate. The held-out scenes have seeds of their own.
SHARDS = 0 1 2 3 4 5 6 7 8 9
SHORT_SHARDS = 0 1 2 3 4 5 6
SPREAD_SHARDS = 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30
LIVE_SHARDS = 0 1 2 3
DATA = runs/data

data: $(READY)  ## render the simulated scenes on which the embedded network is trained
	for i in $(SHARDS); do $(BIN)/videomt_simulate dataset $(DATA)/train_0$$i --scenes 100 \
		--frames 30 --seed $$((100 * i)) || exit 1; done
	for i in $(SHORT_SHARDS); do $(BIN)/videomt_simulate dataset $(DATA)/many_$$i --scenes 300 \
		--frames 12 --seed $$((10000 + 300 * i)) || exit 1; done
	for i in $(SPREAD_SHARDS); do $(BIN)/videomt_simulate dataset $(DATA)/spread_$$i --scenes 200 \
		--frames 18 --rate 3 --seed $$((20000 + 200 * i)) || exit 1; done
	for i in $(LIVE_SHARDS); do $(BIN)/videomt_simulate dataset $(DATA)/live_$$i --scenes 100 \
		--frames 60 --seed $$((30000 + 100 * i)) || exit 1; done
	$(BIN)/videomt_simulate dataset $(DATA)/val --scenes 40 --frames 60 --seed 1000000

train: data  ## train the embedded network anew (hours), and measure it
	OMP_NUM_THREADS=1 $(BIN)/videomt_train config/train_embedded.yaml
	OMP_NUM_THREADS=1 $(BIN)/videomt_train config/train_embedded_further.yaml
	OMP_NUM_THREADS=1 $(BIN)/videomt_train config/train_embedded_spread.yaml
	OMP_NUM_THREADS=1 $(BIN)/videomt_train config/train_embedded_larger.yaml
	OMP_NUM_THREADS=1 $(BIN)/videomt_train config/train_embedded_carried.yaml
	OMP_NUM_THREADS=1 $(BIN)/videomt_train config/train_embedded_apart.yaml
	$(BIN)/videomt_checkpoints --convert runs/embedded_apart/network runs/embedded_mean \
		--average runs/embedded_carried/network
	OMP_NUM_THREADS=1 $(BIN)/videomt_train config/train_embedded_twins.yaml
	$(BIN)/videomt_checkpoints --convert runs/embedded_twins/network runs/embedded_mean_twins \
		--average runs/embedded_mean
	OMP_NUM_THREADS=1 $(BIN)/videomt_train config/train_embedded_bound.yaml
	$(BIN)/videomt_checkpoints --convert runs/embedded_bound/network runs/embedded_mean_bound \
		--average runs/embedded_mean_twins --half
	OMP_NUM_THREADS=1 $(BIN)/videomt_train config/train_embedded_rows.yaml
	$(BIN)/videomt_checkpoints --convert runs/embedded_rows/network runs/embedded_mean_rows \
		--average runs/embedded_mean_bound --half
	OMP_NUM_THREADS=1 $(BIN)/videomt_train config/train_embedded_dense.yaml
	$(BIN)/videomt_checkpoints --convert runs/embedded_dense/network runs/embedded_mean_dense \
		--average runs/embedded_mean_rows runs/embedded_mean_rows --half
	OMP_NUM_THREADS=1 $(BIN)/videomt_train config/train_embedded_renewed.yaml
	$(BIN)/videomt_checkpoints --convert runs/embedded_renewed/network runs/embedded_mean_renewed \
		--average runs/embedded_mean_dense runs/embedded_mean_rows --half
	OMP_NUM_THREADS=1 $(BIN)/videomt_train config/train_embedded_unseen.yaml
	$(BIN)/videomt_checkpoints --convert runs/embedded_unseen/network runs/embedded_mean_unseen \
		--average runs/embedded_mean_renewed --half
	OMP_NUM_THREADS=1 $(BIN)/videomt_train config/train_embedded_live.yaml
	OMP_NUM_THREADS=1 $(BIN)/videomt_train config/train_embedded_all.yaml
	$(BIN)/videomt_checkpoints --convert runs/embedded_all/network runs/embedded --mask-bias 0.7 \
		--average runs/embedded_all/network runs/embedded_live/network runs/embedded_mean_unseen \
		runs/embedded_mean_renewed runs/embedded_mean_renewed --half
	$(BIN)/videomt_eval $(DATA)/val --checkpoint runs/embedded

lint: $(READY)  ## run ruff, mypy, ament_flake8 and ament_pep257
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/ament_flake8 $(wildcard *.py) $(wildcard videomt_ros launch test)
	$(BIN)/ament_pep257 $(wildcard *.py) $(wildcard videomt_ros launch test)

build-check: $(READY) $(ROS_READY)  ## build with pip and with colcon, and try what was built
	$(BIN)/python -m pytest test/packaging

clean:  ## remove what was built and the virtual environments
	rm -rf build install log .venv* *.egg-info .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -r {} +

$(READY): $(SOURCES)
	@.ci/check_machine $(PYTHON)
	@echo 'Setting up $(VENV): this takes minutes, and says nothing while all goes well.'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -U pip
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	@# trackeval brings opencv-python, which replaces cv2 by one that wants libGL of the system.
	$(BIN)/pip uninstall -q -y opencv-python
	$(BIN)/pip install -q --no-deps --force-reinstall opencv-python-headless
	touch $@

$(ROS_READY): pyproject.toml | $(READY)
	@echo 'Setting up $(ROS_VENV).'
	$(PYTHON) -m venv $(ROS_VENV)
	$(ROS_VENV)/bin/pip install -q -U pip
	$(BIN)/python .ci/build_requirements.py | $(ROS_VENV)/bin/pip install -q -r /dev/stdin \
		colcon-common-extensions pytest ros-kilted-ament-cmake-pytest \
		ros-kilted-rclpy ros-kilted-rmw-fastrtps-cpp
	touch $@
