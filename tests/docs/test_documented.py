"""Whatever users can name is in the reference, and nothing that is not there any more."""

from __future__ import annotations

import dataclasses
import inspect
import re
import runpy
from itertools import pairwise

import pytest

from airflow_batch_cancel import exceptions
from airflow_batch_cancel.cli.definition import get_batch_cancel_cli_commands
from airflow_batch_cancel.core import owner
from airflow_batch_cancel.core.plan import Action
from airflow_batch_cancel.core.policy import Policy
from airflow_batch_cancel.core.report import CancelReport, JobOutcome, Outcome
from airflow_batch_cancel.core.verdict import TaskState, Verdict
from airflow_batch_cancel.get_provider_info import get_provider_info
from airflow_batch_cancel.hooks.batch import BatchCancelHook
from airflow_batch_cancel.notifications.batch import BatchCancelNotifier
from airflow_batch_cancel.operators.batch import BatchCancelOperator, CancellableBatchOperator
from airflow_batch_cancel.operators.sweep import BatchSweepOperator
from airflow_batch_cancel.sensors.batch import BatchCancelSensor
from airflow_batch_cancel.simulator import BatchSimulator, VirtualClock
from airflow_batch_cancel.simulator.faults import KINDS, Fault, Faults
from airflow_batch_cancel.simulator.model import Behaviour
from airflow_batch_cancel.simulator.server import make_app
from tests.docs.pages import DOCS, ROOT, code, names, table

PUBLIC = [
    BatchCancelOperator,
    CancellableBatchOperator,
    BatchSweepOperator,
    BatchCancelSensor,
    BatchCancelNotifier,
    BatchCancelHook,
    BatchSimulator,
    VirtualClock,
    Faults,
    Policy,
    CancelReport,
    JobOutcome,
]
# Arguments whose names say it all, or that are not for users.
PLAIN = {
    BatchSimulator: {"region", "account"},
    CancelReport: {"rows"},
    Faults: {"clock"},
    JobOutcome: {"job_id", "job_name", "outcome", "status", "status_reason"},
}
(GROUP,) = get_batch_cancel_cli_commands()
COMMANDS = {command.name: command for command in GROUP.subcommands}


def test_settings():
    """With their defaults."""
    options = get_provider_info()["config"]["batch_cancel"]["options"]
    documented = {code(row[0])[0]: row[1] for row in table("docs/reference/settings.md", "setting")}
    assert documented == {
        name: f"`{option['default']}`" if option["default"] else "" for name, option in options.items()
    }


@pytest.mark.parametrize(
    ("page", "heading", "members"),
    [
        pytest.param("outcomes", "outcome", Outcome, id="outcomes"),
        pytest.param("outcomes", "action", Action, id="actions"),
        pytest.param("verdicts", "verdict", Verdict, id="verdicts"),
    ],
)
def test_words(page, heading, members):
    """Each member of a closed set, once, in the code's order."""
    assert names(f"docs/reference/{page}.md", heading) == [str(member) for member in members]


def test_states_of_a_task():
    """The sweep's page says what it makes of each."""
    documented = names("docs/reference/verdicts.md", "state of the task")
    assert sorted(documented) == sorted(str(state) for state in TaskState)


def test_report():
    """The keys of an XCom."""
    report = CancelReport("why", (JobOutcome("id", Outcome.CANCELLED),)).as_dict()
    assert sorted(names("docs/reference/outcomes.md", "key")) == sorted(report)
    text = (DOCS / "reference" / "outcomes.md").read_text()
    for key in report["jobs"][0]:
        assert f"`{key}`" in text


def test_exceptions():
    """Each error that this package raises, with what to do about it."""
    raised = [
        name
        for name, member in vars(exceptions).items()
        if inspect.isclass(member) and issubclass(member, exceptions.BatchCancelError)
    ]
    assert names("docs/reference/errors.md", "exception") == raised


def test_tags():
    """Each tag on a job."""
    tags = [value for name, value in vars(owner).items() if re.fullmatch(r"TAG_\w+", name)]
    written = [tag for tag in tags if isinstance(tag, str)]
    assert sorted(names("docs/reference/tags.md", "tag")) == sorted(written)


def test_commands():
    """Each command of ``airflow batch-cancel``."""
    assert names("docs/reference/cli.md", "command") == list(COMMANDS)


def test_options():
    """Each option of each command, and no command has an option that the page gives it in vain."""
    documented = set()
    for row in table("docs/reference/cli.md", "option"):
        where = list(COMMANDS) if row[1] == "all" else row[1].split(", ")
        documented |= {(command, option) for command in where for option in code(row[0])}
    real = set()
    for name, command in COMMANDS.items():
        for arg in command.args:
            flags = arg.flags if arg.flags[0].startswith("-") else ["JOB_ID ..."]
            real |= {(name, flag) for flag in flags}
    assert documented == real


@pytest.mark.parametrize("public", PUBLIC, ids=lambda public: public.__name__)
def test_arguments(public):
    """Each class has its place in the reference, and its docstring explains each of its arguments."""
    parameters = inspect.signature(public).parameters.values()
    own = {one.name for one in parameters if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)}
    explained = set(re.findall(r":param (\w+):", inspect.getdoc(public)))
    assert own - explained - PLAIN.get(public, set()) == set()
    reference = "".join(path.read_text() for path in (DOCS / "reference").glob("*.md"))
    assert re.search(rf"autoclass:: airflow_batch_cancel[\w.]*\.{public.__name__}$", reference, re.MULTILINE)


def test_templated_arguments():
    """The table of templated arguments is what the classes say, in the words of the author of a DAG."""
    spelled = {"of_dag_id": "dag_id", "of_run_id": "run_id", "cancel_reason": "reason"}
    documented = {code(row[0])[0]: set(code(row[1])) for row in table("docs/reference/operators.md", "class")}
    for public in (BatchCancelOperator, BatchSweepOperator, BatchCancelSensor, BatchCancelNotifier):
        own = set(inspect.signature(public).parameters)
        fields = {spelled.get(name, name) for name in public.template_fields}
        assert documented[public.__name__] == fields & own


def test_faults_of_the_simulator():
    """Each kind, and each argument of a rule."""
    assert names("docs/reference/simulator.md", "kind") == [*KINDS, "rate_limit"]
    text = (DOCS / "reference" / "simulator.md").read_text()
    for field in dataclasses.fields(Fault):
        assert field.name == "began" or f"`{field.name}`" in text


def test_behaviour_of_simulated_jobs():
    """With its defaults."""
    rows = table("docs/reference/simulator.md", "name")
    documented = {code(row[0])[0]: float(code(row[1])[0]) for row in rows}
    assert documented == {field.name: float(field.default) for field in dataclasses.fields(Behaviour)}


def test_paths_of_the_simulator():
    """Each path beside those of AWS."""
    routes = [route for route in make_app(BatchSimulator()).routes if "/_simulator" in route.path]
    real = [f"{'POST' if 'POST' in route.methods else 'GET'} {route.path}" for route in routes]
    assert names("docs/reference/simulator.md", "path") == real


def test_options_of_the_simulator(monkeypatch, capsys):
    """``python -m airflow_batch_cancel.simulator --help`` says nothing that the page does not."""
    monkeypatch.setattr("sys.argv", ["simulator", "--help"])
    with pytest.raises(SystemExit):
        runpy.run_module("airflow_batch_cancel.simulator", run_name="__main__")
    real = dict.fromkeys(re.findall(r"^ +(?:-h, )?(--[a-z-]+)", capsys.readouterr().out, re.MULTILINE))
    assert names("docs/reference/simulator.md", "option") == [name for name in real if name != "--help"]


def test_targets_of_the_makefile():
    """The guide for contributors lists each."""
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    documented = [command.removeprefix("make ") for command in names("docs/contributing.md", "command")]
    assert sorted(documented) == sorted(set(targets) - {"chromium", "postgres", "redis"})


def test_decisions_are_dated():
    """The name of a note on a decision begins with the day."""
    pages = sorted((DOCS / "decisions").glob("*.md"))
    assert pages
    assert [page.name for page in pages if not re.match(r"\d{4}-\d\d-\d\d-", page.name)] == []


def test_every_picture_is_shown():
    """On some page; that what a page shows is there, the build sees to."""
    text = (ROOT / "README.md").read_text() + "".join(path.read_text() for path in DOCS.rglob("*.md"))
    assert [path.name for path in (DOCS / "images").iterdir() if path.name not in text] == []


def test_headings_do_not_skip_a_level():
    """Each page has one title, and its sections nest."""
    for path in DOCS.rglob("*.md"):
        prose = re.sub(r"^ *```.*?^ *```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
        levels = [len(found) for found in re.findall(r"^(#+) ", prose, re.MULTILINE)]
        assert levels[0] == 1, path
        assert levels.count(1) == 1, path
        assert all(after - before <= 1 for before, after in pairwise(levels)), path
