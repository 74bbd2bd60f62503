"""What AWS answers, and which of this package's errors stands for it."""

from __future__ import annotations

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ReadTimeoutError,
)

from airflow_batch_cancel.aws.errors import translate
from airflow_batch_cancel.exceptions import (
    AccessDeniedError,
    BatchApiError,
    ServiceUnavailableError,
    ThrottledError,
)
from airflow_batch_cancel.simulator.wire import service_model


def answered(code, status):
    response = {"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "DescribeJobs")


@pytest.mark.parametrize(
    ("raised", "kind", "retryable"),
    [
        (answered("TooManyRequestsException", 429), ThrottledError, True),
        (answered("ThrottlingException", 400), ThrottledError, True),
        (answered("429", 429), ThrottledError, True),
        (answered("ServerException", 500), ServiceUnavailableError, True),
        (answered("502", 502), ServiceUnavailableError, True),
        (answered("AccessDeniedException", 403), AccessDeniedError, False),
        (answered("AccessDenied", 200), AccessDeniedError, False),
        (answered("UnrecognizedClientException", 403), AccessDeniedError, False),
        (answered("ExpiredTokenException", 403), AccessDeniedError, False),
        (answered("ClientException", 400), BatchApiError, False),
        (NoCredentialsError(), AccessDeniedError, False),
        (EndpointConnectionError(endpoint_url="x"), ServiceUnavailableError, True),
        (ReadTimeoutError(endpoint_url="x"), ServiceUnavailableError, True),
        (NoRegionError(), BatchApiError, False),
    ],
)
def test_an_error_is_what_can_be_done_about_it(raised, kind, retryable):
    """Repeat, ask for a permission, or give up; operation, code and message are kept."""
    error = translate("DescribeJobs", raised)
    assert type(error) is kind
    assert error.retryable is retryable
    assert error.operation == "DescribeJobs"
    assert error.message


def test_the_error_shapes_of_the_service_are_all_known():
    """A new one in botocore's model of Batch has to be looked at."""
    shapes = {shape.name for shape in service_model().error_shapes}
    assert shapes == {"ClientException", "ServerException"}
