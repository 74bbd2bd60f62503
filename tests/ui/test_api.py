"""The HTTP API behind the tab, on a real API server."""

from __future__ import annotations

import json
import signal
import time

import pytest

from tests.ui.asking import REASON, cancel, follow, jobs_of, outcomes
from tests.ui.site import Run, as_user, second_api_server, start_run

MINUTES = 60.0


def test_lists_the_jobs_of_a_run(run, admin):
    """Of plain and mapped tasks, with what the page shows of each."""
    run.submit("stock", status="RUNNING")
    run.submit("many", 1, status="SUCCEEDED", name="b")
    run.submit("owned", owned=3, status="RUNNING", array_size=5, name="array")
    listed = jobs_of(admin, run)
    stock, array, mapped = sorted(listed["jobs"], key=lambda job: job["task_id"], reverse=True)
    assert (stock["task_id"], stock["map_index"], stock["status"], stock["job_queue"]) == (
        "stock",
        -1,
        "RUNNING",
        "default",
    )
    assert stock["console_url"].endswith(f"region=us-east-1#jobs/detail/{stock['job_id']}")
    assert (mapped["map_index"], mapped["finished"]) == (1, True)
    assert (array["array_size"], array["array_summary"], array["try_number"]) == (5, {"RUNNING": 5}, 3)
    assert listed["problems"] == []
    assert (listed["can_cancel"], listed["user"]) == (True, "admin")


def test_lists_the_jobs_of_a_task_instance(run, admin):
    """Of the mapped one that is asked for, and of no other."""
    for index in range(3):
        run.submit("many", index, name="abc"[index])
    run.submit("stock")
    listed = jobs_of(admin, run, task_id="many", map_index=1)
    assert [job["job_name"] for job in listed["jobs"]] == ["b"]


def test_finds_the_jobs_of_earlier_tries(run, admin, site):
    """By name and tags, with one ListJobs; a job that only has the name is somebody else's."""
    first = run.submit("owned", owned=1, xcom=False, status="FAILED")
    second = run.submit("owned", owned=2, status="RUNNING")
    name = next(job["jobName"] for job in site.batch_jobs() if job["jobId"] == first)
    site.simulator("POST", "/jobs/submit", {"name": name})
    run.set_task("owned", "running", try_number=2)
    run.render("owned")
    site.reset_batch_calls()
    found = {job["job_id"]: job["try_number"] for job in jobs_of(admin, run)["jobs"]}
    assert found == {first: 1, second: 2}
    assert len(site.batch_calls("ListJobs")) == 1
    jobs_of(admin, run)
    assert len(site.batch_calls("ListJobs")) == 1, "a search is remembered for a minute"


def test_describes_a_hundred_jobs_a_call(site, admin):
    """And those that have ended only once; all of them a moment later."""
    run = start_run(site, "thousand")
    for index in range(250):
        run.submit("many", index, status="SUCCEEDED" if index < 150 else "RUNNING")
    site.reset_batch_calls()
    assert len(jobs_of(admin, run)["jobs"]) == 250
    assert len(site.batch_calls("DescribeJobs")) == 3
    time.sleep(0.5)
    jobs_of(admin, run)
    assert len(site.batch_calls("DescribeJobs")) == 4


def test_a_plan_is_what_the_cancel_does(run, admin, site):
    """Job by job; and changes nothing."""
    run.submit("stock", status="RUNNING")
    run.submit("owned", owned=1, status="SUBMITTED")
    run.submit("many", 0, status="SUCCEEDED", name="a")
    plan = admin.post(f"{run.path}/plan", json=REASON).json()
    assert {row["task_id"]: row["action"] for row in plan["jobs"]} == {
        "stock": "TERMINATE",
        "owned": "CANCEL",
    }
    assert not [call for call in site.batch_calls() if call["operation"].startswith(("Term", "Canc"))]
    assert outcomes(cancel(admin, run)) == {"stock": "TERMINATED", "owned": "CANCELLED"}


def test_cancels_the_chosen_jobs_only(run, admin):
    """The list then says what became of them, and why."""
    chosen = run.submit("stock", status="RUNNING")
    other = run.submit("owned", owned=1, status="RUNNING")
    cancel(admin, run, job_ids=[chosen])
    listed = {job["job_id"]: job for job in jobs_of(admin, run)["jobs"]}
    assert (listed[chosen]["outcome"], listed[chosen]["status_reason"]) == ("TERMINATED", "enough")
    assert (listed[other]["outcome"], listed[other]["finished"]) == (None, False)


def test_leaves_started_jobs_alone_when_asked_to(run, admin):
    """``terminate_after`` null."""
    run.submit("stock", status="RUNNING")
    run.submit("owned", owned=1, status="SUBMITTED")
    report = cancel(admin, run, terminate_after=None)
    assert outcomes(report) == {"stock": "LEFT_RUNNING", "owned": "CANCELLED"}
    assert report["ok"]


def test_an_array_that_had_started_is_terminated(run, admin):
    """The job itself does not show that afterwards; the record of the cancel does."""
    run.submit("owned", owned=1, status="RUNNING", array_size=3, name="array")
    assert outcomes(cancel(admin, run)) == {"array": "TERMINATED"}
    assert [job["outcome"] for job in jobs_of(admin, run)["jobs"]] == ["TERMINATED"]


def test_a_cancelled_job_does_not_come_back(run, admin):
    """A task of the stock operator that has retries left is marked failed; the plan says so before."""
    run.submit("stock", status="RUNNING")
    run.submit("owned", owned=1, status="RUNNING")
    for task_id in ("stock", "owned"):
        run.set_task(task_id, "running")
    plan = admin.post(f"{run.path}/plan", json=REASON).json()
    assert {row["task_id"]: row["is_retried"] for row in plan["jobs"]} == {"stock": True, "owned": False}
    assert run.task_state("stock") == "running"
    cancel(admin, run)
    assert run.task_state("stock") == "failed"
    assert run.task_state("owned") == "running", "it sees for itself that its job was cancelled"
    (row,) = run.audit_rows()
    assert json.loads(row["extra"])["failed_tasks"] == [["stock", -1]]


def test_a_task_is_not_failed_when_its_job_is_not_stopped(run, admin, site):
    """A denied stop leaves the task watching its job."""
    run.submit("stock", status="RUNNING")
    run.set_task("stock", "running")
    site.batch_faults(kind="deny", operation="TerminateJobs")
    assert outcomes(cancel(admin, run)) == {"stock": "DENIED"}
    assert run.task_state("stock") == "running"


def test_every_cancel_is_one_row_in_the_audit_log(run, admin, site):
    """Who, why and what became of it; a refused one is none."""
    job_id = run.submit("many", 2, status="RUNNING", name="c")
    assert admin.post(f"{run.path}/cancels", json={"reason": ""}).status_code == 422
    cancel(admin, run)
    (row,) = run.audit_rows()
    extra = json.loads(row["extra"])
    assert (row["owner"], row["task_id"], row["map_index"]) == ("admin", "many", 2)
    assert (extra["reason"], extra["ok"], extra["totals"]) == ("enough", True, {"TERMINATED": 1})
    assert [job["job_id"] for job in extra["jobs"]] == [job_id]


def test_a_partial_cancel_says_so(run, admin, site):
    """Job by job, in the answer and in the audit log."""
    stopped = run.submit("stock", status="RUNNING")
    denied = run.submit("owned", owned=1, status="RUNNING")
    site.batch_faults(kind="deny", operation="TerminateJobs", job_ids=[denied])
    report = cancel(admin, run)
    assert {row["job_id"]: row["outcome"] for row in report["jobs"]} == {
        stopped: "TERMINATED",
        denied: "DENIED",
    }
    assert not report["ok"]
    assert json.loads(run.audit_rows()[0]["extra"])["jobs"][0]["job_id"] == denied, "the failed ones first"


@pytest.mark.parametrize(
    ("job_id", "status"),
    [
        pytest.param("foreign", 404, id="of another run"),
        pytest.param("00000000-0000-4000-8000-000000000000", 404, id="unknown"),
        pytest.param("nonsense", 400, id="no job id"),
    ],
)
def test_refuses_jobs_that_are_not_of_the_run(site, run, admin, job_id, status):
    """And does nothing to the others in the same request."""
    own = run.submit("stock", status="RUNNING")
    foreign = start_run(site, "other").submit("stock", status="RUNNING")
    body = {**REASON, "job_ids": [own, foreign if job_id == "foreign" else job_id]}
    for route in ("plan", "cancels"):
        answer = admin.post(f"{run.path}/{route}", json=body)
        assert (answer.status_code, "job_ids" in answer.json()["detail"]) == (status, True)
    assert {job["jobId"] for job in site.batch_alive()} >= {own, foreign}


def test_a_job_that_belongs_to_another_run_is_left_out(site, run, admin):
    """Whatever an XCom says: the tags on the job are believed."""
    foreign = start_run(site, "tab").submit("owned", owned=1, status="RUNNING")
    run.say_submitted("stock", foreign)
    listed = jobs_of(admin, run)
    assert listed["jobs"] == []
    assert "which belongs to" in listed["problems"][0]
    assert admin.post(f"{run.path}/cancels", json={**REASON, "job_ids": [foreign]}).status_code == 404


@pytest.mark.parametrize(
    "value", [None, 7, "text", [], {}, {"job_id": None}, {"job_id": "x"}, {"job_id": []}]
)
def test_passes_over_xcoms_that_name_no_job(run, admin, value):
    """Another tool may use the same key."""
    run.push("stock", value)
    run.submit("many", 0, name="a")
    assert [job["job_name"] for job in jobs_of(admin, run)["jobs"]] == ["a"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"reason": ""},
        {"reason": "x" * 1025},
        {"reason": "x", "terminate_after": -1},
        {"reason": "x", "job_ids": []},
        {"reason": "x", "job_ids": ["x"] * 10_001},
        {"reason": "x", "surprise": 1},
    ],
    ids=["nothing", "no reason", "long reason", "negative", "no jobs", "too many jobs", "unknown field"],
)
def test_bad_bodies_are_refused(run, admin, body):
    """By name."""
    for route in ("plan", "cancels"):
        answer = admin.post(f"{run.path}/{route}", json=body)
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"][0] == "body"


def test_a_run_without_jobs_has_an_empty_list(run, admin):
    """And there is nothing to plan."""
    assert jobs_of(admin, run)["jobs"] == []
    assert admin.post(f"{run.path}/plan", json=REASON).json()["jobs"] == []
    assert cancel(admin, run)["ok"]


def test_a_run_that_is_gone_is_not_found(run, admin, site):
    """In the words of the page."""
    site.api("DELETE", f"/dags/tab/dagRuns/{run.run_id}")
    answer = admin.get(f"{run.path}/jobs")
    assert answer.status_code == 404
    assert "a run of the DAG 'tab' that exists" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("fields", "fault", "said"),
    [
        pytest.param(
            {"aws_conn_id": "not_there"},
            None,
            "'not_there': expected the id of an Airflow",
            id="no connection",
        ),
        pytest.param(
            {"aws_conn_id": "nowhere"}, None, "Could not connect to the endpoint", id="nobody answers"
        ),
        pytest.param({}, {"kind": "deny", "operation": "DescribeJobs"}, "AccessDenied", id="no permission"),
        pytest.param(
            {},
            {"kind": "deny", "operation": "DescribeJobs", "code": "ExpiredTokenException"},
            "token included in the request is expired",
            id="expired credentials",
        ),
        pytest.param(
            {}, {"kind": "throttle", "operation": "DescribeJobs"}, "TooManyRequests", id="throttled"
        ),
        pytest.param(
            {}, {"kind": "server_error", "operation": "DescribeJobs"}, "ServerException", id="AWS is ill"
        ),
    ],
)
def test_what_can_not_be_seen_is_said(run, admin, site, fields, fault, said):
    """And the jobs are listed all the same, without a state."""
    job_id = run.submit("stock", status="RUNNING")
    run.render("stock", **fields)
    if fault:
        site.batch_faults(**fault)
    listed = jobs_of(admin, run)
    assert [(job["job_id"], job["status"]) for job in listed["jobs"]] == [(job_id, None)]
    assert len(listed["problems"]) == 1
    assert said in listed["problems"][0]


def test_a_connection_that_is_not_there_keeps_no_other_job_from_being_cancelled(run, admin):
    """The plan and the cancel name it at its own jobs."""
    job_id, other = run.submit("stock", status="RUNNING"), run.submit("many", 1, status="RUNNING")
    run.render("stock", aws_conn_id="not_there")
    planned = {row["job_id"]: row for row in admin.post(f"{run.path}/plan", json=REASON).json()["jobs"]}
    assert [planned[one]["action"] for one in (job_id, other)] == ["NOTHING", "TERMINATE"]
    assert "'not_there'" in planned[job_id]["message"]
    ended = cancel(admin, run)
    assert not ended["ok"]
    rows = {row["job_id"]: row for row in ended["jobs"]}
    assert [rows[one]["outcome"] for one in (job_id, other)] == ["ERROR", "TERMINATED"]
    assert "'not_there'" in rows[job_id]["message"]


def test_a_cancel_goes_on_when_its_key_is_replaced(run, admin, site):
    """A drain from the page may last for days."""

    def connection(key):
        extra = json.dumps({"region_name": "us-east-1", "endpoint_url": site.simulator_url})
        return {"connection_id": "kept", "conn_type": "aws", "login": key, "password": "x", "extra": extra}

    site.api("POST", "/connections", connection("first"))
    run.submit("stock", status="RUNNING")
    run.render("stock", aws_conn_id="kept")
    begun = admin.post(f"{run.path}/cancels", json={**REASON, "terminate_after": 3}).json()
    site.api("PATCH", "/connections/kept", connection("second"))
    site.simulator("POST", "/keys/retire", {"access_key": "first"})
    assert outcomes(follow(admin, run, begun["cancel_id"])) == {"stock": "TERMINATED"}


def test_jobs_of_another_region_are_asked_for_there(run, admin):
    """The task says in which Region it has submitted."""
    run.say_submitted("stock", "00000000-0000-4000-8000-000000000000", region="eu-west-1")
    (job,) = jobs_of(admin, run)["jobs"]
    assert job["status"] is None
    assert "region=eu-west-1" in job["console_url"]
    (problem,) = jobs_of(admin, run)["problems"]
    assert "in eu-west-1: AWS Batch does not know 1 of the jobs there" in problem


def test_a_cancel_goes_on_while_nobody_waits(run, admin, site):
    """A drain answers at once, shows how far it is, and terminates what is left."""
    run.submit("stock", status="RUNNING")
    answer = admin.post(f"{run.path}/cancels", json={**REASON, "terminate_after": 3})
    assert answer.json()["state"] == "RUNNING"
    assert len([job for job in site.batch_alive() if job["jobName"] == "stock"]) >= 1
    assert outcomes(follow(admin, run, answer.json()["cancel_id"])) == {"stock": "TERMINATED"}


def test_the_end_of_the_api_server_is_recorded(site, admin):
    """What a cancel had reached is in the audit log, and the next API server tells it."""
    run = start_run(site)
    run.submit("stock", status="RUNNING")
    answer = admin.post(f"{run.path}/cancels", json={**REASON, "terminate_after": 10 * MINUTES})
    cancel_id = answer.json()["cancel_id"]
    time.sleep(1)
    site.kill("api-server", signal.SIGTERM)
    site.start("api-server")
    site.wait_for_api()
    with as_user(site, "admin") as client:
        told = follow(client, run, cancel_id)
    assert (told["state"], told["ok"]) == ("INTERRUPTED", False)
    assert "API server was stopped" in told["error"]
    assert outcomes(told) == {"stock": "ERROR"}


def test_a_cancel_is_followed_through_any_api_server(site, run, admin):
    """Also while it runs: they share Airflow's database, and nothing else."""
    run.submit("stock", status="RUNNING")
    with second_api_server(site) as address, as_user(site, "viewer") as other:
        other.base_url = address
        begun = admin.post(f"{run.path}/cancels", json={**REASON, "terminate_after": 3}).json()
        told = other.get(f"{run.path}/cancels/{begun['cancel_id']}").json()
        assert (told["state"], told["settled"], told["total"]) == ("RUNNING", 0, 1)
        assert outcomes(follow(other, run, begun["cancel_id"])) == {"stock": "TERMINATED"}
        assert [job["outcome"] for job in jobs_of(other, run)["jobs"]] == ["TERMINATED"]


def test_a_killed_api_server_is_told_by_the_others(site, admin):
    """Its cancels are silent from then on; nobody has to wait for them for ever."""
    run = start_run(site)
    run.submit("stock", status="RUNNING")
    begun = admin.post(f"{run.path}/cancels", json={**REASON, "terminate_after": 10 * MINUTES}).json()
    site.kill("api-server")
    site.start("api-server")
    site.wait_for_api()
    with as_user(site, "admin") as client:
        assert client.get(f"{run.path}/cancels/{begun['cancel_id']}").json()["state"] == "RUNNING"
        run.let_cancels_be_silent(seconds=61)
        told = client.get(f"{run.path}/cancels/{begun['cancel_id']}").json()
    assert (told["state"], told["ok"]) == ("INTERRUPTED", False)
    assert "nothing was heard for 60 s" in told["error"]


def test_a_record_has_room_for_the_jobs_that_matter(site, admin):
    """What a column of 64 kB can not hold is counted; the jobs that are not stopped come first."""
    run = start_run(site, "thousand")
    ids = [run.submit("many", index, name="x" * 100, status="RUNNING") for index in range(400)]
    site.batch_faults(kind="deny", operation="TerminateJobs", job_ids=[ids[-1]])
    told = cancel(admin, run, reason="\u20ac" * 1024)
    assert [job["outcome"] for job in told["jobs"]][:2] == ["DENIED", "TERMINATED"]
    assert len(told["jobs"]) + told["jobs_left_out"] == 400 == sum(told["totals"].values())
    assert len(run.audit_rows()[0]["extra"]) < 64_000


def test_an_unknown_cancel_is_not_found(run, admin):
    """So the page falls back on the states of the jobs."""
    answer = admin.get(f"{run.path}/cancels/{'0' * 32}")
    assert answer.status_code == 404
    assert "knows no cancel" in answer.json()["detail"]


def test_a_cancel_of_another_run_is_not_shown(site, run, admin):
    """Its id is not enough: the run has to be the one whose jobs they are."""
    run.submit("stock", status="RUNNING")
    cancel_id = admin.post(f"{run.path}/cancels", json=REASON).json()["cancel_id"]
    other: Run = start_run(site, "other")
    assert admin.get(f"{other.path}/cancels/{cancel_id}").status_code == 404
