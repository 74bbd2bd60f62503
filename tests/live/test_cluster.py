"""The cluster that the live tests stand on."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from tests.live.cluster import AIRFLOW, Cluster

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]


def test_runs_a_job_and_leaves_no_process_behind() -> None:
    """A stock BatchOperator runs its job on the simulator; afterwards neither process nor file is left."""
    before = {process.pid for process in psutil.process_iter()}
    with Cluster(Path(__file__).parent / "dags") as cluster:
        assert set(cluster.processes) == {"simulator", *AIRFLOW}
        run_id = cluster.trigger("stock", {"run_seconds": "2"})
        assert cluster.wait_for_run("stock", run_id, 90) == "success", cluster.task_log(
            "stock", run_id, "job"
        )
        (job,) = cluster.batch_jobs()
        assert (job["jobName"], job["status"]) == ("stock", "SUCCEEDED")
        assert cluster.xcom("stock", run_id, "job") == job["jobId"]
        assert cluster.batch_calls("SubmitJob")
        started = [process for process in cluster.living() if process.pid not in before]
        assert len(started) > len(AIRFLOW)
    assert not [process for process in started if process.is_running()]
    assert not cluster.living()
    assert not cluster.home.exists()
