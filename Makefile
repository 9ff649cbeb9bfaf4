# make run    the platform in one process, with a toy battery and its schedule     make run PORT=5050
# make test   everything the tests need, then all tests                            make test ARGS="-k battery"
# make test-timescale   the tests of stored values on the server with TimescaleDB that FLEXMESH_TEST_TIMESCALE_URL names
# make lint   style, types and the rules of dependency
# make bench  how long formulating, solving, the store and the API take
# make clean  remove what was installed and cached here (your data stays)

PORT ?= $(or $(FLEXMESH_PORT),5000)
ARGS ?=
BIN = .venv/bin

# Some machines tell Python not to keep what it has compiled. In our own .venv it may: everything starts twice as fast.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test test-timescale lint bench install clean

run:
	@sh scripts/install --no-dev
	@exec $(BIN)/flexmesh up --toy --port $(PORT)

install:
	@sh scripts/install

# The broker's tests need a real RabbitMQ: one of yours, or the program, which is installed here if it may be.
test: install
	@[ -n "$$FLEXMESH_TEST_AMQP_URL" ] || bash scripts/rabbitmq >/dev/null
	@$(BIN)/pytest -n 2 --dist loadscope $(ARGS)

test-timescale: install
	@[ -n "$$FLEXMESH_TEST_TIMESCALE_URL" ] || { echo "Set FLEXMESH_TEST_TIMESCALE_URL: docs/how-to/timescaledb.md"; exit 2; }
	@FLEXMESH_TEST_DATABASE_URL=$$FLEXMESH_TEST_TIMESCALE_URL $(BIN)/pytest -n 2 --dist loadscope $(ARGS) \
		libs/flexstore apps/flexmesh/tests/test_backup.py services/ingest services/api-gateway/tests/test_data.py \
		services/api-gateway/tests/test_charts.py

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install
	$(BIN)/python bench/solver.py
	$(BIN)/python bench/store.py
	$(BIN)/python bench/rest.py $(ARGS)

clean:
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
