"""Nobody is let in: every role, route and method, paths and bodies that mean something else, and secrets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest
from fastapi.routing import APIRoute

from airflow_batch_cancel.ui.api import create_api
from tests.live.cluster import Cluster
from tests.ui.site import ROLES, SECRET, TOKEN, Run, as_user, start_run

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

REASON = {"reason": "enough"}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
EDITORS = ("admin", "op", "user")


@pytest.fixture(scope="module")
def people(site: Cluster) -> Iterator[dict[str, httpx.Client]]:
    """A client for each role, one without a token, and one with a token that nobody gave out."""
    found = {role: as_user(site, role) for role in ROLES}
    found["nobody"] = httpx.Client(base_url=site.url, timeout=60)
    token = site.token("admin", "admin")
    forged = {"Authorization": f"Bearer {token[:-8]}AAAAAAAA"}
    found["forger"] = httpx.Client(base_url=site.url, timeout=60, headers=forged)
    yield found
    for client in found.values():
        client.close()


@pytest.fixture
def mine(site: Cluster) -> Run:
    """A run of the DAG ``tab`` with a living job."""
    run = start_run(site)
    run.submit("stock", status="RUNNING")
    return run


@pytest.fixture
def foreign(site: Cluster) -> Run:
    """A run of the DAG ``other`` with a living job."""
    run = start_run(site, "other")
    run.job_ids["stock"] = run.submit("stock", status="RUNNING")
    return run


def stops(site: Cluster) -> list[str]:
    """The calls that stop anything."""
    return [
        call["operation"] for call in site.batch_calls() if call["operation"].startswith(("Cancel", "Term"))
    ]


def routes() -> list[APIRoute]:
    return [route for route in create_api().routes if isinstance(route, APIRoute)]


@pytest.mark.parametrize("person", [*ROLES, "nobody", "forger"])
@pytest.mark.parametrize("route", routes(), ids=lambda route: f"{min(route.methods)} {route.path}")
def test_who_may_do_what(site, people, mine, person, route):
    """Every role on every route with every method: only a permitted pair is let in, and nobody else stops."""
    site.reset_batch_calls()
    path = "/batch-cancel" + route.path.format(dag_id="tab", run_id=quote(mine.run_id), cancel_id="0" * 32)
    changes = "POST" in route.methods
    for method in METHODS:
        answer = people[person].request(method, path, json=REASON)
        if person in ("nobody", "forger") and method in route.methods:
            assert answer.status_code in (401, 403), (method, answer.text)
        elif method not in route.methods:
            assert answer.status_code in (401, 405), (method, answer.text)
        elif changes:
            assert (answer.status_code < 300) is (person in EDITORS), (method, answer.text)
            assert person in EDITORS or answer.status_code == 403
        else:
            assert answer.status_code in (200, 404), (method, answer.text)
    may_stop = changes and person in EDITORS and route.path.endswith("/cancels")
    assert may_stop or not stops(site)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/dags/other/dagRuns/{foreign}", id="a foreign run"),
        pytest.param("/dags/tab/dagRuns/{foreign}", id="a foreign run under one's own DAG"),
        pytest.param("/dags/tab/dagRuns/{mine}/../../../other/dagRuns/{foreign}", id="dots"),
        pytest.param("/dags/tab%2F..%2Fother/dagRuns/{foreign}", id="encoded slashes in the DAG"),
        pytest.param("/dags/tab/dagRuns/..%2F..%2F..%2Fother%2FdagRuns%2F{foreign}", id="in the run"),
        pytest.param("/dags/%6Fther/dagRuns/{foreign}", id="an encoded letter"),
        pytest.param("/dags/OTHER/dagRuns/{foreign}", id="in capitals"),
        pytest.param("/dags/other%00/dagRuns/{foreign}", id="a null character"),
        pytest.param("/dags/other%20/dagRuns/{foreign}", id="a blank"),
        pytest.param("/dags/~/dagRuns/{foreign}", id="every DAG"),
        pytest.param("/dags/~/dagRuns/~", id="everything"),
        pytest.param("/dags/tab/dagRuns/~", id="every run"),
        pytest.param("/dags/%/dagRuns/%", id="a wildcard of SQL"),
        pytest.param("/dags/other/dagRuns/{foreign}?dag_id=tab", id="one's own DAG in the query"),
        pytest.param("/dags//dagRuns/{foreign}?dag_id=tab", id="no DAG in the path, one's own in the query"),
        pytest.param("//dags/other/dagRuns/{foreign}", id="a double slash"),
    ],
)
def test_no_path_leads_to_a_foreign_run(site, people, mine, foreign, path):
    """Somebody with one DAG sees and stops nothing of another, however the request is written."""
    site.reset_batch_calls()
    path = path.format(mine=quote(mine.run_id), foreign=quote(foreign.run_id))
    base, question, query = path.partition("?")
    for method, route in (("GET", "jobs"), ("POST", "plan"), ("POST", "cancels")):
        answer = raw(people["user"], method, f"/batch-cancel{base}/{route}{question}{query}")
        assert answer.status_code in (400, 403, 404, 405, 422), (route, answer.status_code, answer.text)
        assert foreign.job_ids["stock"] not in answer.text
    assert not stops(site)


def raw(client: httpx.Client, method: str, path: str) -> httpx.Response:
    """Send a path as it is written: httpx itself would tidy it up."""
    url = httpx.URL(client.base_url).copy_with(raw_path=path.encode())
    return client.send(client.build_request(method, url, json=REASON if method == "POST" else None))


@pytest.mark.parametrize(
    "headers",
    [
        {"X-HTTP-Method-Override": "GET"},
        {"X-Original-URL": "/batch-cancel/dags/tab/dagRuns/x/jobs"},
        {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-User": "admin", "X-Remote-User": "admin"},
        {"Authorization": "Bearer null"},
        {"Authorization": "Basic YWRtaW46YWRtaW4="},
        {"Cookie": "_token=admin"},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_no_header_lets_anybody_in(site, people, mine, headers):
    """What proxies and old servers believe is not believed here."""
    site.reset_batch_calls()
    for route in ("plan", "cancels"):
        answer = people["nobody"].post(f"{mine.path}/{route}", json=REASON, headers=headers)
        assert answer.status_code in (401, 403)
    assert not stops(site)


def test_a_body_can_not_name_another_run(site, people, mine, foreign):
    """Run and DAG are the path's: in a body they are unknown fields."""
    for extra in ({"dag_id": "other"}, {"run_id": foreign.run_id}, {"user": "admin"}):
        for route in ("plan", "cancels"):
            answer = people["user"].post(f"{mine.path}/{route}", json={**REASON, **extra})
            assert answer.status_code == 422


@pytest.mark.parametrize("person", ["nobody", "viewer", "user"])
def test_an_oversized_body_is_not_read(people, mine, person):
    """Longer than ten thousand ids can be: refused by its length, before anybody is asked who they are."""
    body = json.dumps({"reason": "x" * 3_000_000})
    headers = {"Content-Type": "application/json"}
    for route in ("plan", "cancels"):
        answer = people[person].post(f"{mine.path}/{route}", content=body, headers=headers)
        assert answer.status_code == 413
        answer = people[person].post(f"{mine.path}/{route}", content=iter([body.encode()]), headers=headers)
        assert answer.status_code == 411


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"reason": NaN}',
        b'{"reason": "x", "terminate_after": 1e999}',
        b'{"reason": "\\ud800"}',
        b'{"reason": "x", "\\ud800": 1}',
        b'{"reason": "x", "job_ids": ["\\ud800"]}',
        b'{"reason": "x", "task_id": "\\ud800"}',
        b'{"reason": "x", "task_id": "\\u0000"}',
    ],
    ids=[
        "half",
        "a list",
        "null",
        "no text",
        "deep",
        "NaN",
        "endless",
        "half a character",
        "name",
        "id",
        "task",
        "null character",
    ],
)
def test_a_body_that_is_no_request_is_refused(site, people, mine, content):
    """By 4xx, and the API server lives on."""
    headers = {"Content-Type": "application/json"}
    for route in ("plan", "cancels"):
        answer = people["admin"].post(f"{mine.path}/{route}", content=content, headers=headers)
        assert 400 <= answer.status_code < 500, answer.text
    assert people["admin"].get(f"{mine.path}/jobs").status_code == 200


@pytest.mark.parametrize("reason", ["\x1b[2J<script>alert(1)</script>", "a\r\nSet-Cookie: x=1", "🙂\u202e"])
def test_a_reason_is_only_ever_text(people, mine, reason):
    """No control character reaches AWS, a log or a header."""
    answer = people["user"].post(f"{mine.path}/plan", json={"reason": reason})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert not {"\x1b", "\r", "\n"} & set(answer.json()["reason"])


def test_the_bundle_is_all_that_is_served(people):
    """No file beside it, by whatever path."""
    for path in ("../api.py", "..%2Fapi.py", "%2e%2e/api.py", "..\\api.py", "/etc/passwd", "%2Fetc%2Fpasswd"):
        assert raw(people["nobody"], "GET", f"/batch-cancel/static/{path}").status_code == 404


def test_secrets_are_nowhere(site, people, mine):
    """Not in an answer, also not in one about an error, in no log, and not in the database."""
    site.batch_faults(kind="deny", operation="TerminateJobs")
    answers = [people["admin"].get(f"{mine.path}/jobs").text]
    for route in ("plan", "cancels"):
        answers.append(people["admin"].post(f"{mine.path}/{route}", json=REASON).text)
    site.batch_faults(kind="server_error", operation="DescribeJobs")
    answers.append(people["admin"].get(f"{mine.path}/jobs").text)
    mine.render("stock", aws_conn_id="nowhere")
    answers.append(people["admin"].get(f"{mine.path}/jobs").text)
    site.batch_faults()
    left = [path for path in site.home.rglob("*") if path.is_file()]
    assert any(path.name == "api-server.log" for path in left)
    assert any(path.name == "airflow.db" for path in left)
    texts = [answer.encode() for answer in answers] + [path.read_bytes() for path in left]
    for text in texts:
        assert SECRET.encode() not in text
        assert TOKEN.encode() not in text
