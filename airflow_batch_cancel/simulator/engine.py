"""The life of a job: how it goes from state to state, by itself and when it is stopped."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

from airflow_batch_cancel.simulator.clock import VirtualClock
from airflow_batch_cancel.simulator.model import SimulatedJob, Transition

Step = Callable[[SimulatedJob], None]


class Engine:
    """
    All jobs, and what is due to happen to them. Not thread-safe: whoever calls holds a lock.

    Sources of the rules: AWS Batch user guide, "Job states", "Array jobs", "Job dependencies", "Automated job
    retries"; botocore's documentation of ``CancelJob`` and ``TerminateJob``.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.jobs: dict[str, SimulatedJob] = {}
        self.history: list[Transition] = []
        self._now = clock.now()
        self._due: list[tuple[float, int, SimulatedJob, int, Step]] = []
        self._number = itertools.count()

    @property
    def now(self) -> float:
        """The time of what is happening."""
        return self._now

    def settle(self) -> None:
        """Let everything happen that is due by now."""
        now = self.clock.now()
        while self._due and self._due[0][0] <= now:
            self._now, _, job, phase, step = heapq.heappop(self._due)
            if job.phase == phase and not job.finished:
                step(job)
        self._now = now

    def add(self, job: SimulatedJob) -> None:
        """Take in a job that was just submitted."""
        self.jobs[job.job_id] = job
        for edge in job.depends_on:
            if edge.get("type") not in ("N_TO_N", "SEQUENTIAL"):
                self._wait_for(job, edge["jobId"])
        self._later(job.behaviour.submitted_seconds, job, self._leave_submitted)

    def put(self, job: SimulatedJob, status: str) -> None:
        """Put a job into a state at once, as if it had come there by itself."""
        if status == "SUBMITTED":
            job.phase += 1
        elif job.array_size is not None:
            self._spawn(job)
            for child in job.children:
                self.put(child, "RUNNABLE" if status == "PENDING" else status)
        elif status in ("STARTING", "RUNNING"):
            self._start(job)
            if status == "RUNNING":
                self._run(job)
        elif status in ("SUCCEEDED", "FAILED"):
            self.put(job, "RUNNING")
            self._finish(job, status, "", "scenario")
        else:
            self._set(job, status, "scenario")
            if status == "RUNNABLE":
                job.queue.waiting.append(job)

    def cancel(self, job: SimulatedJob, reason: str) -> None:
        """Drop what has not started; a started job goes on as if nothing had been asked."""
        if job.finished or job.started:
            return
        if job.children:
            for child in job.children:
                self.cancel(child, reason)
            if any(child.is_cancelled for child in job.children) and not job.finished:
                job.is_cancelled = True
            return
        job.is_cancelled = True
        self._drop(job, reason, "CancelJob")

    def terminate(self, job: SimulatedJob, reason: str) -> None:
        """Stop a job in any state."""
        if job.finished:
            return
        if job.children:
            job.is_terminated = True
            for child in job.children:
                self.terminate(child, reason)
        elif job.started:
            if not job.is_terminated:
                job.is_terminated = True
                job.stop_reason = reason
                self._later(job.behaviour.stop_seconds, job, self._killed)
        else:
            job.is_terminated = True
            self._drop(job, reason, "TerminateJob")

    def _later(self, seconds: float, job: SimulatedJob, step: Step) -> None:
        heapq.heappush(self._due, (self._now + seconds, next(self._number), job, job.phase, step))

    def _set(self, job: SimulatedJob, status: str, cause: str) -> None:
        """Change the status; what was due to happen in the old one no longer is."""
        self.history.append(Transition(self._now, job.job_id, job.status, status, cause))
        if job.parent is not None:
            counts = job.parent.child_counts
            counts[job.status] = counts.get(job.status, 0) - 1
            counts[status] = counts.get(status, 0) + 1
        job.status = status
        job.phase += 1

    def _wait_for(self, job: SimulatedJob, upstream_id: str) -> None:
        upstream = self.jobs.get(upstream_id)
        if upstream is not None and upstream.status != "SUCCEEDED":
            job.waits_for.add(upstream_id)
            upstream.dependents.append(job)

    def _leave_submitted(self, job: SimulatedJob) -> None:
        if job.waits_for:
            self._set(job, "PENDING", "dependencies")
            if any(self.jobs[up].status == "FAILED" for up in job.waits_for):
                self._dependency_failed(job)
        else:
            self._ready(job)

    def _ready(self, job: SimulatedJob) -> None:
        if job.array_size is not None:
            self._spawn(job)
            for child in job.children:
                self._leave_submitted(child)
            return
        self._set(job, "RUNNABLE", "scheduler")
        self._later(job.behaviour.runnable_seconds, job, self._place)

    def _spawn(self, job: SimulatedJob) -> None:
        self._set(job, "PENDING", "children")
        size = job.array_size or 0
        job.live_children = size
        job.child_counts = {"SUBMITTED": size}
        job.children = [self._child(job, index) for index in range(size)]
        for edge in job.depends_on:
            for child in job.children:
                if edge.get("type") == "N_TO_N":
                    self._wait_for(child, f"{edge['jobId']}:{child.index}")
                elif edge.get("type") == "SEQUENTIAL" and child.index:
                    self._wait_for(child, f"{job.job_id}:{child.index - 1}")

    def _child(self, parent: SimulatedJob, index: int) -> SimulatedJob:
        child = SimulatedJob(
            job_id=f"{parent.job_id}:{index}",
            name=parent.name,
            queue=parent.queue,
            definition=parent.definition,
            behaviour=parent.behaviour,
            created_at=self._now,
            attempts_allowed=parent.attempts_allowed,
            timeout=parent.timeout,
            parent=parent,
            index=index,
        )
        self.jobs[child.job_id] = child
        return child

    def _place(self, job: SimulatedJob) -> None:
        if job.queue.has_room:
            self._start(job)
        else:
            job.queue.waiting.append(job)

    def _start(self, job: SimulatedJob) -> None:
        job.queue.busy += 1
        job.holds_slot = True
        self._set(job, "STARTING", "scheduler")
        self._later(job.behaviour.starting_seconds, job, self._run)

    def _run(self, job: SimulatedJob) -> None:
        job.attempt += 1
        job.started_at = self._now
        self._set(job, "RUNNING", "scheduler")
        if job.is_terminated:
            self._later(job.behaviour.stop_seconds, job, self._killed)
        self._later(job.behaviour.run_seconds, job, self._exit)
        if job.timeout is not None:
            self._later(job.timeout, job, self._timed_out)

    def _exit(self, job: SimulatedJob) -> None:
        if job.attempt > job.behaviour.fail_attempts and job.behaviour.exit_code == 0:
            self._finish(job, "SUCCEEDED", "Essential container in task exited", "exit")
        elif job.attempt < job.attempts_allowed and not job.stopping:
            self._release(job)
            self._set(job, "RUNNABLE", "retry")
            self._later(job.behaviour.runnable_seconds, job, self._place)
        else:
            self._finish(job, "FAILED", "Essential container in task exited", "exit")

    def _timed_out(self, job: SimulatedJob) -> None:
        self._finish(job, "FAILED", "Job attempt duration exceeded timeout", "timeout")

    def _killed(self, job: SimulatedJob) -> None:
        self._finish(job, "FAILED", job.stop_reason, "TerminateJob")

    def _drop(self, job: SimulatedJob, reason: str, cause: str) -> None:
        """End a job that has not started; one that waits for others ends when they have."""
        job.stop_reason = job.stop_reason or reason
        if any(not self.jobs[up].finished for up in job.waits_for):
            if job.status == "SUBMITTED":
                self._set(job, "PENDING", "dependencies")
        else:
            self._finish(job, "FAILED", job.stop_reason, cause)

    def _finish(self, job: SimulatedJob, status: str, reason: str, cause: str) -> None:
        self._release(job)
        job.status_reason = reason
        job.stopped_at = self._now
        self._set(job, status, cause)
        for dependent in job.dependents:
            self._dependency_ended(dependent, job)
        if job.parent is not None:
            self._child_ended(job.parent)

    def _release(self, job: SimulatedJob) -> None:
        queue = job.queue
        if not job.holds_slot:
            return
        job.holds_slot = False
        queue.busy -= 1
        while queue.waiting and queue.has_room:
            waiting = queue.waiting.popleft()
            if waiting.status == "RUNNABLE":
                self._start(waiting)

    def _dependency_ended(self, job: SimulatedJob, upstream: SimulatedJob) -> None:
        if job.finished or job.status == "SUBMITTED":
            if upstream.status == "SUCCEEDED":
                job.waits_for.discard(upstream.job_id)
            return
        if job.stopping:
            self._drop(job, job.stop_reason, "stopped while PENDING")
        elif upstream.status == "FAILED":
            self._dependency_failed(job)
        else:
            job.waits_for.discard(upstream.job_id)
            if not job.waits_for:
                self._ready(job)

    def _dependency_failed(self, job: SimulatedJob) -> None:
        self._finish(job, "FAILED", "Dependent Job failed", "dependency")

    def _child_ended(self, parent: SimulatedJob) -> None:
        parent.live_children -= 1
        if parent.live_children or parent.finished:
            return
        failed = parent.child_counts.get("FAILED", 0) > 0
        self._finish(
            parent,
            "FAILED" if failed else "SUCCEEDED",
            "Array Child Job failed" if failed else "",
            "children",
        )
