"""What AWS Batch has shown of jobs, kept so that pages which watch them do not use up the account's calls."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from cachetools import LRUCache

from airflow_batch_cancel.aws.batches import IDS_PER_DESCRIBE
from airflow_batch_cancel.aws.gateway import BatchGateway, Described
from airflow_batch_cancel.core.jobs import Job

_JOBS = 20_000
_CALLS_PER_SECOND = 5
"""DescribeJobs for each run that is watched: a tenth of what AWS publishes for an account and Region."""


@dataclass(frozen=True, slots=True)
class _Seen:
    job: Job
    at: float


class Looks:
    """
    Describes jobs, but for those that have ended, or were seen a moment ago.

    The moment grows with the number of live jobs: 0.2 s for a hundred, 20 s for ten thousand. Safe to use
    from several threads.

    :param now: where the time comes from, in seconds
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._seen: LRUCache[tuple[Hashable, str], _Seen] = LRUCache(_JOBS)

    def look(
        self, source: Hashable, job_ids: Sequence[str], gateway: Callable[[], BatchGateway]
    ) -> Described:
        """
        Describe jobs of a source.

        :param gateway: is called when AWS has to be asked
        """
        began = self._now()
        with self._lock:
            seen = {
                job_id: known for job_id in job_ids if (known := self._seen.get((source, job_id))) is not None
            }
        jobs = {job_id: known.job for job_id, known in seen.items() if known.job.finished}
        moment = (len(job_ids) - len(jobs)) / IDS_PER_DESCRIBE / _CALLS_PER_SECOND
        jobs |= {job_id: known.job for job_id, known in seen.items() if began - known.at < moment}
        left = [job_id for job_id in job_ids if job_id not in jobs]
        if not left:
            return Described(jobs)
        described = gateway().describe(left)
        with self._lock:
            self._seen.update({(source, job_id): _Seen(job, began) for job_id, job in described.jobs.items()})
        return Described({**jobs, **described.jobs}, described.errors)
