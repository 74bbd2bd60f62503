# One-word commands, the same by hand and in CI. Each makes the .venv that it needs.
.PHONY: test test-versions cluster matrix chaos limits bench audit lint format docs demo wheel clean postgres redis chromium bundle screenshots
VENV := .venv
RUN := $(VENV)/bin
STAMP := $(VENV)/.installed
STOCK := $(VENV)/stock/.installed
UI := airflow_batch_cancel/ui
NODE_STAMP := $(UI)/node_modules/.package-lock.json
DEV := apache-airflow-providers-celery apache-airflow-providers-fab asyncpg 'boto3-stubs[batch]' build furo hatchling hypothesis matplotlib mypy myst-parser pip-audit \
  playwright psycopg2-binary pytest pytest-timeout ruff sphinx sphinx-copybutton statsd

test: lint docs postgres chromium $(NODE_STAMP)
	$(RUN)/python -m pytest

# Every death of a task, some nine minutes; ONLY="clear" plays the rows whose names contain that.
matrix: $(STAMP) postgres
	$(RUN)/python -m tests.live.matrix.play --write --only "$(ONLY)"

# Beside what people use today, some twenty minutes; QUICK=1 tries it out, ONLY="stop" runs the parts so called.
bench: $(STAMP) $(STOCK) postgres
	$(RUN)/python -m tests.bench $(if $(QUICK),--quick) --only "$(ONLY)"

# Three seeds of random deaths, user actions and AWS faults, some seven minutes each; SEED=7 plays one.
chaos: $(STAMP) postgres
	$(RUN)/python -m tests.chaos.play --seed $(SEED)

# How far it goes: 10,000 jobs, 100 cancels at once, an endpoint that drips or hangs, a full disk (root only).
limits: $(STAMP)
	AIRFLOW_HOME=$(CURDIR)/build/airflow $(RUN)/python -m tests.chaos.limits $(ONLY)

# The tests on every Airflow that a file of names and versions is here for, twenty minutes.
VERSIONS := $(patsubst tests/versions/%.txt,%,$(wildcard tests/versions/*.txt))
test-versions: $(STAMP) postgres $(VERSIONS:%=.venv-%/.installed)
	$(RUN)/python -m tests.versions.play --write --only "$(ONLY)"

.venv-%/.installed: tests/versions/%.txt pyproject.toml | $(STAMP)
	test -x .venv-$*/bin/python || $(RUN)/uv venv --quiet --python $(RUN)/python .venv-$*
	$(RUN)/uv pip install --quiet --python .venv-$*/bin/python --constraint $< --editable . \
	  apache-airflow-providers-fab asyncpg httpx hypothesis psycopg2-binary pytest pytest-timeout statsd
	touch $@

# What happens on a large installation: Celery, Redis, two of everything; ONLY="node" plays the rows so called.
cluster: $(STAMP) postgres redis
	$(RUN)/python -m tests.cluster.play --write --only "$(ONLY)"

lint: $(STAMP)
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy

# Known vulnerabilities of what the package and its tests install; asks a database on the internet.
audit: $(STAMP)
	$(RUN)/python -m tests.packaging.audit $(ADVISORIES:%=--advisories %)

format: $(STAMP)
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

docs: $(STAMP)
	AIRFLOW_HOME=$(CURDIR)/build/airflow $(RUN)/sphinx-build --quiet --fail-on-warning --keep-going docs build/docs

demo: $(STAMP)
	$(RUN)/python -m tests.live.demo $(if $(KEEP),--keep)

# What the source of the page builds to is in the repository: whoever installs the package needs no Node.
bundle: $(NODE_STAMP)
	cd $(UI) && npm run --silent check && npm run --silent build

# The pictures in the documentation.
screenshots: $(STAMP) chromium
	SCREENSHOTS=docs/images $(RUN)/python -m pytest tests/ui/test_page.py -k "looks_like_airflow or example_in_the_graph"

wheel: $(STAMP)
	$(RUN)/python -m build --wheel --no-isolation

clean:
	rm -rf $(VENV) .venv-* $(UI)/node_modules build dist .pytest_cache .mypy_cache .ruff_cache

# Debian's python3 comes without ensurepip; root can have it installed here.
$(STAMP): pyproject.toml .constraints.txt
	@python3 -c 'import ensurepip' 2>/dev/null || { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq python3-venv; } \
	  || { echo "python3 can not make a virtual environment: apt-get install python3-venv"; exit 1; }
	test -x $(RUN)/python || python3 -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --constraint .constraints.txt uv
	$(RUN)/uv pip install --quiet --python $(RUN)/python --constraint .constraints.txt --editable . $(DEV)
	touch $@

# The stock operator's trigger needs aiobotocore, which wants a botocore of its own.
$(STOCK): $(STAMP) tests/bench/stock.txt
	test -x $(VENV)/stock/bin/python || python3 -m venv $(VENV)/stock
	grep -v ^boto .constraints.txt > $(VENV)/stock/constraints.txt
	$(RUN)/uv pip install --quiet --python $(VENV)/stock/bin/python --constraint $(VENV)/stock/constraints.txt \
	  --constraint tests/bench/stock.txt aiobotocore apache-airflow apache-airflow-providers-amazon asyncpg psutil psycopg2-binary
	touch $@

postgres:
	@ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 \
	  || { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq postgresql >/dev/null; } \
	  || { echo "the kill matrix runs on PostgreSQL: apt-get install postgresql"; exit 1; }

chromium:
	@test -x /usr/bin/chromium \
	  || { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } \
	  || { echo "the page is tested in Chromium: apt-get install chromium"; exit 1; }

$(NODE_STAMP): $(UI)/package.json $(UI)/package-lock.json $(UI)/.npmrc
	@command -v npm >/dev/null \
	  || { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq nodejs npm >/dev/null; } \
	  || { echo "the page is built with Node: apt-get install nodejs npm"; exit 1; }
	cd $(UI) && npm ci --silent
	touch $@

redis:
	@command -v redis-server >/dev/null \
	  || { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq redis-server >/dev/null; } \
	  || { echo "Celery's broker is Redis: apt-get install redis-server"; exit 1; }
