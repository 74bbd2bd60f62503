"""The one place where botocore's errors become this package's."""

from __future__ import annotations

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    TokenRetrievalError,
)
from botocore.exceptions import (
    ConnectionError as NoConnection,
)
from botocore.parsers import ResponseParserError

from airflow_batch_cancel.exceptions import (
    AccessDeniedError,
    BatchApiError,
    ServiceUnavailableError,
    ThrottledError,
)

AWS_ERRORS = (ClientError, BotoCoreError, ResponseParserError, AttributeError, TypeError, ValueError)
"""
What a call of a botocore client raises: an error of AWS, no answer, or one that botocore's parser stumbles
over, since it trusts the types in it.
"""
_THROTTLED = frozenset(
    {
        "TooManyRequestsException",
        "ThrottlingException",
        "Throttling",
        "ThrottledException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "SlowDown",
    }
)
_DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "ExpiredTokenException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
    }
)
_UNAVAILABLE = frozenset({"ServerException", "InternalFailure", "InternalError", "ServiceUnavailable"})
_NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, TokenRetrievalError)


def api_error(operation: str, code: str, message: str, http_status: int = 0) -> BatchApiError:
    """
    Return the error for a code that AWS answered with.

    A missing permission is spelled ``AccessDeniedException`` by a single call and ``AccessDenied`` inside the
    answer of a bulk call (botocore's shape ``TerminateJobsErrorDetail``); throttling is
    ``TooManyRequestsException`` with HTTP 429, and ``ThrottlingException`` in bulk answers.

    :param http_status: 0 for an error inside the answer of a bulk call
    """
    if code in _THROTTLED or http_status == 429:
        return ThrottledError(operation, code, message)
    if code in _DENIED or http_status in (401, 403):
        return AccessDeniedError(operation, code, message)
    if code in _UNAVAILABLE or http_status >= 500:
        return ServiceUnavailableError(operation, code, message)
    return BatchApiError(operation, code, message)


def translate(operation: str, error: Exception) -> BatchApiError:
    """
    Return the error that stands for what botocore raised.

    :param error: one of ``AWS_ERRORS``
    """
    if isinstance(error, ClientError):
        answer = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return api_error(operation, str(answer.get("Code", "Unknown")), answer.get("Message", ""), status)
    name = type(error).__name__
    if isinstance(error, _NO_CREDENTIALS):
        return AccessDeniedError(operation, name, str(error))
    if not isinstance(error, BotoCoreError):
        return ServiceUnavailableError(operation, "UnreadableAnswer", f"{name}: {error}")
    if isinstance(error, (HTTPClientError, NoConnection)):
        return ServiceUnavailableError(operation, name, str(error))
    return BatchApiError(operation, name, str(error))
