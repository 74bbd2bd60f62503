"""What the hooks here share: clients whose calls are counted, and that keep up with their connection."""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

from airflow_batch_cancel.observability import count_calls


class BatchBaseHook(AwsBaseHook):
    """The base hook of Amazon's provider, for a wait that may outlive the credentials that it began with."""

    def get_client_type(self, *args: Any, **kwargs: Any) -> Any:
        """Return a botocore client whose calls are counted."""
        return count_calls(super().get_client_type(*args, **kwargs))

    def forget_connection(self) -> None:
        """Look the connection up anew for the next client: its credentials may have been replaced."""
        for name in ("conn_config", "conn"):
            self.__dict__.pop(name, None)
