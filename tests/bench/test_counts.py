"""How many calls it takes: counts, which hold on any machine, and no times."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from tests.bench.service import CALLS_PER_SECOND, Service, mixed_jobs, service
from tests.bench.stop import limit
from tests.bench.strategies import STRATEGIES, Strategy, ours


@pytest.fixture
def batch() -> Iterator[Service]:
    """A simulated AWS Batch in a process of its own."""
    with service() as batch:
        yield batch


@pytest.mark.parametrize("bulk", [True, False], ids=["bulk", "single"])
@pytest.mark.parametrize("jobs", [10, 100])
def test_a_stop_makes_the_calls_that_the_api_needs(batch: Service, jobs: int, bulk: bool) -> None:
    """Jobs in all states, arrays and dependencies: not one call more than the limit."""
    ids = list(batch.load(mixed_jobs(jobs)).values())
    ours(batch.client(bulk=bulk), ids)
    assert batch.alive() == 0
    assert batch.count().calls == limit(jobs, bulk=bulk).calls


@pytest.mark.parametrize(("jobs", "bulk"), [(1500, True), (150, False)], ids=["bulk", "single"])
def test_a_token_bucket_refuses_less_than_a_tenth(batch: Service, jobs: int, bulk: bool) -> None:
    """At the rate that AWS publishes no job is lost, and no more than a tenth of the calls is for nothing."""
    ids = list(batch.load(mixed_jobs(jobs)).values())
    client = batch.client(bulk=bulk, retries={"total_max_attempts": 1})
    batch.fault(kind="rate_limit", per_second=CALLS_PER_SECOND, burst=10)
    ours(client, ids)
    count = batch.count()
    assert batch.alive() == 0
    assert count.refused < count.calls / 10


@pytest.mark.parametrize("strategy", [one for one in STRATEGIES if not one.ours], ids=lambda one: one.name)
def test_the_peers_do_the_same_work(batch: Service, strategy: Strategy) -> None:
    """What this package is compared with stops every job, too, with a stop and a look for each at least."""
    ids = list(batch.load({"jobs": [{"name": f"job-{n}", "stop_seconds": 0} for n in range(2)]}).values())
    strategy.run(batch.client(), ids)
    count = batch.count()
    assert batch.alive() == 0
    assert count.by_operation["TerminateJob"] == len(ids)
    assert count.by_operation["DescribeJobs"] >= math.ceil(len(ids) / 100)
