"""
A local AWS Batch: its documented behaviour, traps included, in virtual time and with faults on request.

In process, under a real botocore client::

    sim = BatchSimulator()
    client = sim.client()
    job_id = sim.submit("job", status="RUNNING")
    client.cancel_job(jobId=job_id, reason="too late")
    assert sim.job(job_id).status == "RUNNING"

Over HTTP: ``python -m airflow_batch_cancel.simulator``, or ``serve`` in the module ``server``.
"""

from __future__ import annotations

from airflow_batch_cancel.simulator.clock import VirtualClock
from airflow_batch_cancel.simulator.simulator import BatchSimulator

__all__ = ["BatchSimulator", "VirtualClock"]
