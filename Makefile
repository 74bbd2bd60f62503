# One-word commands, the same by hand and in CI. Each makes the .venv that it needs.
.PHONY: test matrix lint format demo wheel clean postgres
VENV := .venv
RUN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV := apache-airflow-providers-fab asyncpg 'boto3-stubs[batch]' build hatchling hypothesis mypy playwright psycopg2-binary pytest pytest-timeout ruff

test: lint postgres
	$(RUN)/python -m pytest

# Every death of a task, some twenty minutes; ONLY="clear" plays the rows whose names contain that.
matrix: $(STAMP) postgres
	$(RUN)/python -m tests.live.matrix.play --write --only "$(ONLY)"

lint: $(STAMP)
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy

format: $(STAMP)
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

demo: $(STAMP)
	$(RUN)/python -m tests.live.demo $(if $(KEEP),--keep)

wheel: $(STAMP)
	$(RUN)/python -m build --wheel --no-isolation

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache

# Debian's python3 comes without ensurepip; root can have it installed here.
$(STAMP): pyproject.toml .constraints.txt
	@python3 -c 'import ensurepip' 2>/dev/null || { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq python3-venv; } \
	  || { echo "python3 can not make a virtual environment: apt-get install python3-venv"; exit 1; }
	test -x $(RUN)/python || python3 -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --constraint .constraints.txt uv
	$(RUN)/uv pip install --quiet --python $(RUN)/python --constraint .constraints.txt --editable . $(DEV)
	touch $@

postgres:
	@ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 \
	  || { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq postgresql >/dev/null; } \
	  || { echo "the kill matrix runs on PostgreSQL: apt-get install postgresql"; exit 1; }
