"""What the tests ask the HTTP API for."""

from __future__ import annotations

import time

REASON = {"reason": "enough"}


def jobs_of(client, run, **query):
    answer = client.get(f"{run.path}/jobs", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def follow(client, run, cancel_id, seconds=30):
    """Ask until the cancel is over, and return the last answer."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        answer = client.get(f"{run.path}/cancels/{cancel_id}").json()
        if answer["state"] != "RUNNING":
            return answer
        time.sleep(0.1)
    raise TimeoutError(answer)


def cancel(client, run, **body):
    answer = client.post(f"{run.path}/cancels", json={**REASON, **body})
    assert answer.status_code == 202, answer.text
    return follow(client, run, answer.json()["cancel_id"])


def outcomes(report):
    return {row["job_name"].partition("-")[0]: row["outcome"] for row in report["jobs"]}
