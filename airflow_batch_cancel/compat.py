"""All that differs between the versions of Airflow and its amazon provider that this package runs on."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow import __version__ as airflow_version
from airflow.providers.amazon import __version__ as amazon_version
from packaging.version import Version

from airflow_batch_cancel.exceptions import TooOldError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import (
        AirflowConfigException,
        AirflowException,
        AirflowFailException,
        AirflowPlugin,
        AirflowTaskTimeout,
        BaseNotifier,
        PokeReturnValue,
        Stats,
        TaskDeferred,
        XCom,
        conf,
    )

__all__ = (
    "AirflowConfigException",
    "AirflowException",
    "AirflowFailException",
    "AirflowPlugin",
    "AirflowTaskTimeout",
    "BaseNotifier",
    "PokeReturnValue",
    "Stats",
    "TaskDeferred",
    "XCom",
    "conf",
)

_SDK = "airflow.providers.common.compat.sdk"
"""Knows where each version has these names; itself it came with the providers for Airflow 3.1."""
_BEFORE_SDK = {
    "AirflowConfigException": "airflow.exceptions",
    "AirflowException": "airflow.exceptions",
    "AirflowFailException": "airflow.exceptions",
    "AirflowPlugin": "airflow.plugins_manager",
    "AirflowTaskTimeout": "airflow.exceptions",
    "TaskDeferred": "airflow.exceptions",
    "BaseNotifier": "airflow.sdk",
    "PokeReturnValue": "airflow.sdk",
    "Stats": "airflow.stats",
    "XCom": "airflow.sdk.execution_time.xcom",
    "conf": "airflow.configuration",
}
# A worker's process initialises one of these, every other one of Airflow's processes the other.
METRICS = ("airflow.sdk._shared.observability.metrics.stats", "airflow._shared.observability.metrics.stats")
OLDEST = {"apache-airflow": "3.0.6", "apache-airflow-providers-amazon": "9.12.0"}
"""The oldest versions that the tests run on."""


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for: plugins are read in every process of Airflow's."""
    if name not in _BEFORE_SDK:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(_SDK)
    except ModuleNotFoundError:
        module = import_module(_BEFORE_SDK[name])
    globals()[name] = found = getattr(module, name)
    return found


def airflow_is(version: str) -> bool:
    """Return whether Airflow is of this version, ``"3.2"``, or newer; its pre-releases count."""
    return Version(Version(airflow_version).base_version) >= Version(version)


def has_tab() -> bool:
    """Return whether Airflow's page shares the components that the tab is made of."""
    return airflow_is("3.2")


def triggers_are_told_of_kills() -> bool:
    """Return whether triggers have ``on_kill``; before, ``run`` is cancelled, as at a shutdown."""
    from airflow.triggers.base import BaseTrigger

    return hasattr(BaseTrigger, "on_kill")


def metrics() -> Any:
    """
    Return Airflow's metrics as this process has initialised them.

    Airflow has two copies of that module, and only one of them sends anything. A command line initialises
    none; there, this does.
    """
    for name in METRICS:
        copy = sys.modules.get(name)
        if getattr(copy, "_factory", None) is not None:
            return copy
        before = getattr(copy, "Stats", None)  # in Airflow 3.2
        if getattr(before, "factory", None) is not None:
            return before
    return _initialised_metrics()


def _initialised_metrics() -> Any:
    stats: Any
    factory: Any
    try:
        from airflow.sdk.observability import stats
        from airflow.sdk.observability.metrics.stats_utils import get_stats_factory as factory
    except ImportError:  # before Airflow 3.2
        return __getattr__("Stats")
    if not hasattr(stats, "initialize"):  # in Airflow 3.2
        stats.Stats.initialize(factory=factory(stats.Stats))
        return stats.Stats
    stats.initialize(factory=factory(), export_legacy_names=False)
    return stats


def check_versions(airflow: str = airflow_version, amazon: str = amazon_version) -> None:
    """
    Say in one sentence what is too old, rather than fail at some import.

    :param airflow: the version of Airflow
    :param amazon: the version of its amazon provider
    :raises TooOldError: naming the first that is
    """
    found = {"apache-airflow": airflow, "apache-airflow-providers-amazon": amazon}
    for distribution, at_least in OLDEST.items():
        if Version(Version(found[distribution]).base_version) < Version(at_least):
            raise TooOldError(distribution, found[distribution], at_least)
