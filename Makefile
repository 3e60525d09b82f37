# What a developer types. Everything is safe to repeat; nothing outside of this folder and Debian's packages
# is changed but by `make install` and `make uninstall`.
.PHONY: help run down install uninstall test debian13 lint mutants bench golden crds docs clean

PYTHON := .venv/bin/python
TRIMTAB := .venv/bin/trimtab
QUICKSTART := manifests/quickstart
STATE := --root /var/lib/trimtab-quickstart --run-dir /run/trimtab-quickstart
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

help: ## Show what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

run: $(QUICKSTART)/busybox ## Install what is missing and run the agent on manifests/quickstart
	@echo "==> Running the agent on $(QUICKSTART); Ctrl-C ends it"
	@echo "==> In another terminal: $(strip $(AS_ROOT) $(TRIMTAB) $(STATE) status)"
	@trap : INT; $(AS_ROOT) $(TRIMTAB) $(STATE) run $(QUICKSTART); code=$$?; \
	case $$code in 0|130) echo "==> Here, that is: make down" ;; *) exit $$code ;; esac

down: ## Remove what `make run` has started
	@$(AS_ROOT) $(TRIMTAB) $(STATE) delete $(QUICKSTART)

install: ## Put the agent on this host as a service (DESTDIR: below a folder; WHEEL: from a wheel)
	@[ -n "$(DESTDIR)" ] || ops/install.sh packages
	@$(if $(DESTDIR),,$(AS_ROOT)) env "DESTDIR=$(DESTDIR)" "WHEEL=$(WHEEL)" ops/service.sh install

uninstall: ## Take the service away; manifests, state and containers stay
	@$(if $(DESTDIR),,$(AS_ROOT)) env "DESTDIR=$(DESTDIR)" ops/service.sh uninstall

$(QUICKSTART)/busybox: | installed-run
	@cp /bin/busybox $@

.PHONY: installed-run installed-test
installed-run:
	@ops/install.sh run
installed-test:
	@ops/install.sh test

test: installed-test ## Install what is missing and run the whole suite, also what needs root and a real kernel
	@$(AS_ROOT) env "PATH=$(CURDIR)/.venv/bin:$$PATH" ops/test.sh

debian13: ## What a change has to pass on Debian 13 with its Python, in a tree of its own below build/
	@$(AS_ROOT) ops/debian13/test.sh

lint: installed-test ## ruff, mypy, import-linter
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

mutants: installed-test ## Would the unit tests notice a change? OF="agent/plan agent/observe/relist.py": only there
	@$(PYTHON) -m tests.mutants $(OF)

bench: installed-test ## Measure against Docker 20.10 and 26.1, side by side; results in build/bench
	@$(AS_ROOT) $(PYTHON) -m tests.benchmarks

golden: installed-test ## Keep the state of a release for tests/compat: COMMIT=…
	@$(AS_ROOT) $(PYTHON) -m tests.compat.make_golden $(COMMIT)

crds: installed-test ## Generate crds/ from the models
	@$(PYTHON) ops/generate_crds.py

docs: installed-test ## Generate the pages that are made from the code
	@$(PYTHON) ops/generate_command_line.py
	@$(PYTHON) ops/generate_openapi.py

clean: ## Remove what was built here
	@rm -rf build .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
