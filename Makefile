# `make` or `make help` lists the targets.

PORT ?= $(or $(FLEXMESH_PORT),5000)
ARGS ?=
BIN = .venv/bin
PYTEST = $(BIN)/pytest -n 2 --dist loadscope --durations=10 --durations-min=1

# Some machines tell Python not to keep what it has compiled. In our own .venv it may: everything starts twice as fast.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run install test fast test-timescale coverage lint docs bench clean

help: ## list the targets
	@awk -F ' *## *' '/^[a-z-]+:.*##/ {sub(/:.*/, "", $$1); printf "  make %-15s %s\n", $$1, $$2}' Makefile

run: ## the platform in one process, with a toy battery and its schedule; another port: make run PORT=5050
	@sh scripts/install --no-dev
	@exec $(BIN)/flexmesh up --toy --port $(PORT)

install: ## what the tests and tools need, into .venv
	@sh scripts/install

# The broker's tests need a real RabbitMQ: one of yours, or the program, which scripts/rabbitmq installs (on a person's
# machine only after a question). Without one they are skipped.
test: install ## all tests; some of them: make test ARGS="-k battery"
	@if [ -z "$$FLEXMESH_TEST_AMQP_URL" ]; then \
		bash scripts/rabbitmq >/dev/null || { \
			[ $$? = 3 ] && export FLEXMESH_TEST_INSTALL=no && echo "The tests of the broker are skipped."; } || exit 1; \
	fi; \
	$(PYTEST) $(COVERAGE) $(ARGS)

fast: install ## the tests that need no broker and no database server, in less than a minute
	@$(PYTEST) -m "not database and not broker and not platform and not slow" $(or $(ARGS),libs services apps tests/deploy tests/docs)

test-timescale: install ## the tests of stored values on the TimescaleDB server that FLEXMESH_TEST_TIMESCALE_URL names
	@[ -n "$$FLEXMESH_TEST_TIMESCALE_URL" ] || { echo "Set FLEXMESH_TEST_TIMESCALE_URL: docs/how-to/timescaledb.md"; exit 2; }
	@FLEXMESH_TEST_DATABASE_URL=$$FLEXMESH_TEST_TIMESCALE_URL $(PYTEST) $(ARGS) \
		libs/flexstore apps/flexmesh/tests/test_backup.py services/ingest services/api-gateway/tests/test_data.py \
		services/api-gateway/tests/test_charts.py

coverage: ## all tests, with their coverage, which must not fall: twice as slow before Python 3.14
	@$(MAKE) --no-print-directory test COVERAGE="--cov --cov-report=xml --cov-report=term-missing:skip-covered"

lint: install ## style, types and the rules of dependency
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml

docs: install ## the reference pages of the command and of the settings, and the index of decisions
	@$(BIN)/typer flexmesh.cli utils docs --name flexmesh --title "The flexmesh command" --output docs/reference/cli.md
	@$(BIN)/python -m flexserve.reference
	@$(BIN)/python scripts/index_decisions.py

bench: install ## how long formulating, solving, the store and the API take
	$(BIN)/python bench/solver.py
	$(BIN)/python bench/store.py
	$(BIN)/python bench/rest.py $(ARGS)

clean: ## remove what was installed and cached here; your data stays
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage .coverage.* coverage.xml dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
