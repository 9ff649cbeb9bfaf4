# make run    the platform in one process, with a toy battery and its schedule     make run PORT=5050
# make test   everything the tests need, then all tests                            make test ARGS="-k battery"
# make lint   style, types and the rules of dependency
# make bench  how long formulating, solving and the API take
# make clean  remove what was installed and cached here (your data stays)

PORT ?= $(or $(FLEXMESH_PORT),5000)
ARGS ?=
BIN = .venv/bin

# Some machines tell Python not to keep what it has compiled. In our own .venv it may: everything starts twice as fast.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test lint bench install clean

run:
	@sh scripts/install --no-dev
	@exec $(BIN)/flexmesh up --toy --port $(PORT)

install:
	@sh scripts/install

# The broker's tests need a real RabbitMQ: one of yours, or the program, which is installed here if it may be.
test: install
	@[ -n "$$FLEXMESH_TEST_AMQP_URL" ] || bash scripts/rabbitmq >/dev/null
	@$(BIN)/pytest -n 2 --dist loadscope $(ARGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install
	$(BIN)/python bench/solver.py
	$(BIN)/python bench/rest.py $(ARGS)

clean:
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
