"""Who may use the HTTP API, on real API servers."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.ui.asking import REASON, jobs_of
from tests.ui.site import ROLES, as_user, fab_site, start_run


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({}, 200, id="curl"),
        pytest.param({"Sec-Fetch-Site": "same-origin", "Origin": "http://x"}, 200, id="the page itself"),
        pytest.param(
            {"Sec-Fetch-Site": "same-site", "Origin": "http://x"}, 403, id="another port of the site"
        ),
        pytest.param({"Sec-Fetch-Site": "cross-site", "Origin": "http://x"}, 403, id="another site"),
        pytest.param({"Origin": "http://x"}, 403, id="another site, old browser"),
        pytest.param({"Origin": "null"}, 403, id="a sandboxed page"),
        pytest.param({"Content-Type": "text/plain"}, 415, id="a form's text"),
        pytest.param({"Content-Type": "application/x-www-form-urlencoded"}, 415, id="a form"),
    ],
)
def test_pages_of_other_sites_can_not_cancel(run, site, headers, status):
    """Even when the browser sends the user's cookie with their request."""
    cookies = {"_token": site.token("admin", "admin")}
    own = {"Origin": site.url} if headers.get("Sec-Fetch-Site") == "same-origin" else {}
    sent = {"Content-Type": "application/json", **headers, **own}
    with httpx.Client(base_url=site.url, cookies=cookies) as browser:
        answer = browser.post(f"{run.path}/plan", content=json.dumps(REASON), headers=sent)
        assert answer.status_code == status, answer.text
        status = 202 if status == 200 else status
        assert (
            browser.post(f"{run.path}/cancels", content=json.dumps(REASON), headers=sent).status_code
            == status
        )


def test_every_route_asks_who_it_is(site, run):
    """All routes of the app, whichever come to it, refuse somebody without a token."""
    from fastapi.routing import APIRoute

    from airflow_batch_cancel.ui.api import create_api
    from airflow_batch_cancel.ui.app import create_app

    assert [route.path for route in create_app().routes] == ["/static", ""]
    routes = create_api().routes
    asked = 0
    for route in routes:
        assert isinstance(route, APIRoute)
        path = route.path.format(dag_id=run.dag_id, run_id=run.run_id, cancel_id="x")
        for method in route.methods:
            answer = httpx.request(method, f"{site.url}/batch-cancel{path}", json=REASON)
            assert answer.status_code == 401, (method, path, answer.text)
            asked += 1
    assert asked == 4
    for hidden in ("/openapi.json", "/docs", "/redoc"):
        assert httpx.get(f"{site.url}/batch-cancel{hidden}").status_code == 404


@pytest.mark.parametrize(
    ("role", "may_cancel"), [("admin", True), ("op", True), ("user", True), ("viewer", False)]
)
def test_roles_of_the_simple_auth_manager(clients, run, role, may_cancel):
    """Viewers see, and are told that they may not cancel."""
    run.submit("stock", status="RUNNING")
    client = clients(role)
    listed = jobs_of(client, run)
    assert (len(listed["jobs"]), listed["can_cancel"]) == (1, may_cancel)
    assert client.post(f"{run.path}/plan", json=REASON).status_code == (200 if may_cancel else 403)
    assert client.post(f"{run.path}/cancels", json=REASON).status_code == (202 if may_cancel else 403)


@pytest.mark.timeout(300)
def test_roles_of_the_fab_auth_manager():
    """The same, with Airflow's other auth manager."""
    with fab_site() as cluster:
        run = start_run(cluster)
        run.submit("stock", status="RUNNING")
        for role in reversed(ROLES):
            may_cancel = role != "viewer"
            with as_user(cluster, role) as client:
                listed = jobs_of(client, run)
                assert (len(listed["jobs"]), listed["can_cancel"]) == (1, may_cancel), role
                plan = client.post(f"{run.path}/plan", json=REASON)
                assert plan.status_code == (200 if may_cancel else 403), role
                answer = client.post(f"{run.path}/cancels", json=REASON)
                assert answer.status_code == (202 if may_cancel else 403), role
        assert {row["owner"] for row in run.audit_rows()} <= {"admin", "op", "user", "admin admin"}
