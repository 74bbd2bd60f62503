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
        self.__dict__.pop("conn_config", None)

    def new_conn(self) -> Any:
        """Return a client of the connection as it is now, and keep it as this hook's own."""
        self.forget_connection()
        self.__dict__.pop("conn", None)
        return self.get_conn()
