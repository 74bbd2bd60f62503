"""The policy in the documentation, held to what the code asks of AWS Batch."""

from __future__ import annotations

import ast
import json
import re
from datetime import timedelta
from pathlib import Path

import boto3
import pytest
from airflow.sdk import DAG
from botocore import xform_name

from airflow_batch_cancel.aws.gateway import BatchGateway
from airflow_batch_cancel.aws.stop import StopProcedure
from airflow_batch_cancel.core.permissions import PERMISSIONS
from airflow_batch_cancel.core.policy import Policy
from airflow_batch_cancel.operators.batch import BatchCancelOperator, CancellableBatchOperator
from airflow_batch_cancel.operators.sweep import BatchSweepOperator

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/permissions.md").read_text()


@pytest.fixture(scope="module")
def granted():
    """The actions that the policy on the page grants."""
    (document,) = re.findall(r"^```json\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    return {action for statement in json.loads(document)["Statement"] for action in statement["Action"]}


def actions(operations):
    """Return what IAM asks for when these operations are called."""
    return {one.action for one in PERMISSIONS if set(one.operations) & set(operations)}


def named_in(path):
    """Return everything that a module gives a name to or calls, and its short texts."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.bulk_calls
def test_the_policy_grants_what_the_code_can_call(granted):
    """Every operation of AWS Batch that any module names, and no more."""
    model = boto3.Session().client("batch", region_name="us-east-1").meta.service_model
    by_method = {xform_name(name): name for name in model.operation_names}
    package = ROOT / "airflow_batch_cancel"
    files = [path for path in package.rglob("*.py") if "simulator" not in path.parts]
    named = {name for path in files for name in named_in(path)}
    called = {by_method[name] for name in named & set(by_method)}
    assert called == {operation for one in PERMISSIONS for operation in one.operations}
    assert granted == actions(called)


@pytest.mark.bulk_calls
def test_the_policy_grants_what_is_called(granted, run, batch):
    """Jobs submitted with their owner, cancelled and terminated, in bulk and one by one, and a sweep."""
    with DAG("permissions", schedule=None) as dag:
        job = {"job_queue": "default", "job_definition": "default", "wait_for_completion": False}
        submit = CancellableBatchOperator(task_id="submit", job_name="permissions", **job)
        sweep = BatchSweepOperator(task_id="sweep", job_queues="default", deferrable=False)
        submit >> sweep >> BatchCancelOperator(task_id="cancel", task_ids="submit")
    run(dag)
    for bulk in (True, False):
        ids = [batch.submit(status=status) for status in ("RUNNABLE", "RUNNING")]
        policy = Policy("test", terminate_after=timedelta(seconds=1))
        StopProcedure(BatchGateway(batch.client(bulk=bulk), batch.clock), ids, policy).run()
    called = {call.operation for call in batch.calls}
    assert called == {operation for one in PERMISSIONS for operation in one.operations}
    assert all(call.params["tags"] for call in batch.calls if call.operation == "SubmitJob")
    assert granted == actions(called)


def test_the_page_has_every_permission(granted):
    """The table names the same ones as the policy."""
    assert set(re.findall(r"^\| `(batch:\w+)`", PAGE, re.MULTILINE)) == granted
