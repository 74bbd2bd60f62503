"""``airflow batch-cancel``: its commands and their arguments. Imported by every ``airflow`` command."""

from __future__ import annotations

from airflow.cli.cli_config import (
    ARG_OUTPUT,
    ARG_VERBOSE,
    ARG_YES,
    ActionCommand,
    Arg,
    GroupCommand,
    lazy_load_command,
)

_JOB_IDS = Arg(
    ("job_ids",),
    nargs="*",
    help="AWS Batch job ids or ARNs; - reads them from standard input",
    metavar="JOB_ID",
)
_DAG_ID = Arg(("--dag-id",), help="The DAG of the run whose jobs are meant")
_RUN_ID = Arg(("--run-id",), help="The run whose jobs are meant")
_TASK_ID = Arg(("--task-id",), action="append", help="Only the jobs of this task; may be repeated")
_JOB_QUEUE = Arg(
    ("--job-queue",),
    action="append",
    help="Look in this queue too, for jobs that carry the run's owner tags; may be repeated",
)
_SWEPT_QUEUE = Arg(("--job-queue",), action="append", required=True, help="A queue to sweep; may be repeated")
_AWS_CONN_ID = Arg(("--aws-conn-id",), default="aws_default", help="The Airflow connection to AWS")
_REGION_NAME = Arg(("--region-name",), help="The AWS Region; the connection's by default")
_REASON = Arg(("--reason",), help="1 to 1024 characters, kept on the jobs")
_TERMINATE_AFTER = Arg(
    ("--terminate-after",),
    default="0",
    metavar="SECONDS",
    help="How long started jobs may go on; 0 terminates them at once, none never touches them (default: 0)",
)
_TIMEOUT = Arg(
    ("--timeout",),
    type=float,
    default=600.0,
    metavar="SECONDS",
    help="How long to wait until the jobs have ended (default: 600)",
)
_MIN_AGE = Arg(
    ("--min-age",), type=float, metavar="SECONDS", help="Younger jobs are not judged (default: the setting's)"
)
_MAX_JOBS = Arg(
    ("--max-jobs",), type=int, help="With more orphans than that, stop none (default: the setting's)"
)
_DRY_RUN = Arg(("--dry-run",), action="store_true", help="Only show the plan")

_SELECTION = (_JOB_IDS, _DAG_ID, _RUN_ID, _TASK_ID, _JOB_QUEUE, _AWS_CONN_ID, _REGION_NAME)
_POLICY = (_REASON, _TERMINATE_AFTER, _TIMEOUT)
_SHOWN = (ARG_OUTPUT, ARG_VERBOSE)
_LISTED_QUEUE = Arg(
    ("--job-queue",), action="append", help="See whether this queue can be listed, too; may be repeated"
)
_CHECK = (_LISTED_QUEUE, _AWS_CONN_ID, _REGION_NAME)
_SWEEP = (_SWEPT_QUEUE, _MIN_AGE, _MAX_JOBS, _AWS_CONN_ID, _REGION_NAME)
_COMMANDS = "airflow_batch_cancel.cli.commands"


def get_batch_cancel_cli_commands() -> list[GroupCommand]:
    """Return the commands; what they do is loaded when one is run."""
    commands = (
        ActionCommand(
            name="list",
            help="List the AWS Batch jobs of a DAG run, or of given ids",
            func=lazy_load_command(f"{_COMMANDS}.list_jobs"),
            args=(*_SELECTION, *_SHOWN),
        ),
        ActionCommand(
            name="plan",
            help="Show what cancel would do with each job",
            func=lazy_load_command(f"{_COMMANDS}.plan"),
            args=(*_SELECTION, *_POLICY, *_SHOWN),
        ),
        ActionCommand(
            name="cancel",
            help="Cancel jobs and wait until they have ended; 3 is the exit code when not all of them have",
            func=lazy_load_command(f"{_COMMANDS}.cancel"),
            args=(*_SELECTION, *_POLICY, _DRY_RUN, ARG_YES, *_SHOWN),
        ),
        ActionCommand(
            name="sweep",
            help="Stop the live jobs of some queues whose tasks Airflow no longer wants alive",
            func=lazy_load_command(f"{_COMMANDS}.sweep"),
            args=(*_SWEEP, _DRY_RUN, ARG_YES, *_SHOWN),
        ),
        ActionCommand(
            name="check",
            help="Show what works and what is missing, from connection to sweep; changes nothing",
            func=lazy_load_command(f"{_COMMANDS}.check"),
            args=(*_CHECK, *_SHOWN),
        ),
    )
    return [GroupCommand(name="batch-cancel", help="Cancel AWS Batch jobs", subcommands=commands)]
