"""The simulator is held to botocore's own model of the service, requests and answers both."""

from __future__ import annotations

import pytest
from botocore.validate import ParamValidator

from airflow_batch_cancel.simulator import BatchSimulator
from airflow_batch_cancel.simulator.wire import find_operation, service_model

TYPES = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "long": int,
    "structure": dict,
    "list": list,
    "map": dict,
}
OMITTED_BY_AWS = {"startedAt"}


def check(shape, value, path):
    assert isinstance(value, TYPES[shape.type_name]), f"{path}: {value!r} is no {shape.type_name}"
    assert not (isinstance(value, bool) and shape.type_name in ("integer", "long")), path
    if shape.type_name == "structure":
        assert set(value) <= set(shape.members), (
            f"{path}: {set(value) - set(shape.members)} are not in the model"
        )
        missing = set(shape.required_members) - set(value) - OMITTED_BY_AWS
        assert not missing, f"{path}: {missing} are required"
        for key, member in value.items():
            check(shape.members[key], member, f"{path}.{key}")
    elif shape.type_name == "list":
        for number, member in enumerate(value):
            check(shape.member, member, f"{path}[{number}]")
    elif shape.type_name == "map":
        for key, member in value.items():
            check(shape.key, key, path)
            check(shape.value, member, f"{path}[{key!r}]")
    if getattr(shape, "enum", None):
        assert value in shape.enum, f"{path}: {value}"


def world():
    sim = BatchSimulator()
    first = sim.submit("first", status="RUNNING", tags={"a": "b"}, attempts=2)
    second = sim.submit("second", depends_on=[first])
    array = sim.submit("array", array_size=3, status="RUNNABLE")
    done = sim.submit("done", status="SUCCEEDED")
    sim.clock.jump(1)
    return sim, [first, second, array, f"{array}:1", done]


def requests(ids):
    arn = f"arn:aws:batch:us-east-1:123456789012:job/{ids[0]}"
    submit = {
        "jobName": "a",
        "jobQueue": "default",
        "jobDefinition": "default",
        "timeout": {"attemptDurationSeconds": 60},
    }
    return [
        ("SubmitJob", submit),
        ("CancelJob", {"jobId": ids[1], "reason": "x"}),
        ("TerminateJob", {"jobId": ids[0], "reason": "x"}),
        ("CancelJobs", {"jobs": [*ids, "bad"], "reason": "x"}),
        ("TerminateJobs", {"jobs": [*ids, "bad"], "reason": "x"}),
        ("DescribeJobs", {"jobs": ids}),
        ("ListJobs", {"jobQueue": "default", "filters": [{"name": "JOB_NAME", "values": ["*"]}]}),
        ("ListJobs", {"jobQueue": "default", "jobStatus": "PENDING", "maxResults": 1}),
        ("ListJobs", {"arrayJobId": ids[2], "jobStatus": "RUNNABLE"}),
        ("TagResource", {"resourceArn": arn, "tags": {"c": "d"}}),
        ("ListTagsForResource", {"resourceArn": arn}),
        ("UntagResource", {"resourceArn": arn, "tagKeys": ["c"]}),
        ("DescribeJobQueues", {}),
        ("CreateJobQueue", {"jobQueueName": "more", "priority": 1}),
        ("RegisterJobDefinition", {"jobDefinitionName": "more", "type": "container"}),
        ("DescribeJobDefinitions", {}),
    ]


def test_every_answer_is_as_the_model_has_it():
    """No member that the model does not know, none missing, every type right; after a stop too."""
    sim, ids = world()
    called = set()
    for _ in range(2):
        for operation, request in requests(ids):
            model = service_model().operation_model(operation)
            assert not ParamValidator().validate(request, model.input_shape).has_errors()
            answer = sim.handle(operation, request)
            assert answer.status == 200, answer
            check(model.output_shape, answer.body, operation)
            called.add(operation)
        sim.clock.jump(5)
    assert called == set(sim.operations)


def test_every_operation_has_a_route():
    """Requests arrive where botocore's model sends them."""
    for operation in BatchSimulator().operations:
        http = service_model().operation_model(operation).http
        found = find_operation(http["method"], http["requestUri"].replace("{resourceArn}", "arn%3Ax"))
        assert found is not None
        assert found[0] == operation


def test_the_check_itself_can_fail():
    """An answer with a member that the model does not know is refused."""
    shape = service_model().operation_model("DescribeJobs").output_shape
    with pytest.raises(AssertionError, match="not in the model"):
        check(shape, {"jobs": [], "extra": 1}, "DescribeJobs")
