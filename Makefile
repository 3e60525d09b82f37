# What a developer types. Everything is safe to repeat; nothing outside of this folder and Debian's packages is changed.
.PHONY: help run down test lint bench crds clean

PYTHON := .venv/bin/python
TRIMTAB := .venv/bin/trimtab
QUICKSTART := manifests/quickstart
STATE := --root /var/lib/trimtab-quickstart --run-dir /run/trimtab-quickstart
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

help: ## Show what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

run: build/quickstart-image.tar ## Install what is missing and run the agent on manifests/quickstart
	@echo "==> Running the agent on $(QUICKSTART); Ctrl-C ends it"
	@trap : INT; $(AS_ROOT) $(TRIMTAB) $(STATE) run $(QUICKSTART); code=$$?; \
	case $$code in 0|130) echo "==> Here, that is: make down" ;; *) exit $$code ;; esac

down: ## Remove what `make run` has started
	@$(AS_ROOT) $(TRIMTAB) $(STATE) delete $(QUICKSTART)

build/quickstart-image.tar: ops/quickstart_image.py $(wildcard $(QUICKSTART)/www/*) | installed-run
	@echo "==> Making the quickstart's image from this machine's busybox"
	@mkdir -p build && $(PYTHON) ops/quickstart_image.py $@

.PHONY: installed-run installed-test
installed-run:
	@ops/install.sh run
installed-test:
	@ops/install.sh test

test: installed-test ## Install what is missing and run the whole suite, also what needs root and a real kernel
	@$(AS_ROOT) env "PATH=$(CURDIR)/.venv/bin:$$PATH" ops/test.sh

lint: installed-test ## ruff, mypy, import-linter
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

bench: installed-test ## Measure against Docker Engine, side by side; results in build/bench
	@$(AS_ROOT) $(PYTHON) -m tests.benchmarks

crds: installed-test ## Generate crds/ from the models
	@$(PYTHON) ops/generate_crds.py

clean: ## Remove what was built here
	@rm -rf build .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
