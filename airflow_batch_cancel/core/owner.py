"""The owner of a Batch job, and how it is written on the job as tags and in its name."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from airflow_batch_cancel.core.jobs import Job
from airflow_batch_cancel.exceptions import ArgumentError

TAG_LIMIT = 50
"""How many tags a job may have, the user's own included (botocore's shape ``TagrisTagsMap``)."""
TAG_VALUE_LENGTH = 256
"""The longest tag value, in characters (botocore's shape ``TagValue``)."""
JOB_NAME_LENGTH = 128
"""The longest job name, in characters (botocore's shape ``SubmitJobRequest``)."""
_SUFFIX_LENGTH = 10
_CUT_MARK = "=-"
_DIGEST_LENGTH = 32

TAG_DEPLOYMENT = "airflow_deployment"
TAG_DAG_ID = "airflow_dag_id"
TAG_RUN_ID = "airflow_run_id"
TAG_TASK_ID = "airflow_task_id"
TAG_MAP_INDEX = "airflow_map_index"
TAG_TRY_NUMBER = "airflow_try_number"
TAG_LIFETIME = "airflow_job_lifetime"
TAG_PREVIOUS_TRY = "airflow_previous_try"
OWNER_TAGS = (TAG_DAG_ID, TAG_RUN_ID, TAG_TASK_ID, TAG_MAP_INDEX, TAG_TRY_NUMBER, TAG_LIFETIME)
"""The tags that a job must carry, each valid, to have an owner at all."""


class Lifetime(StrEnum):
    """How long a job may live: as long as its task, or on after the task's success."""

    TASK = "task"
    DETACHED = "detached"


class PreviousTry(StrEnum):
    """What a later try does with the job of an earlier one."""

    CANCEL = "cancel"
    REATTACH = "reattach"


@dataclass(frozen=True, slots=True)
class Run:
    """A DAG run of a deployment."""

    deployment: str
    dag_id: str
    run_id: str

    def __str__(self) -> str:
        return f"{self.dag_id}/{self.run_id}"

    def owns(self, owner: Owner) -> bool:
        """Whether a job of ``owner`` belongs to this run."""
        return (owner.deployment, owner.dag_id, owner.run_id) == (self.deployment, self.dag_id, self.run_id)


@dataclass(frozen=True, slots=True)
class Owner:
    """
    The task instance try that submitted a job.

    :param deployment: ``[batch_cancel] deployment_id``; empty when it is not set
    :param map_index: -1 for a task that is not mapped, as Airflow has it
    """

    deployment: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int

    def __str__(self) -> str:
        index = f"[{self.map_index}]" if self.map_index >= 0 else ""
        return f"{self.dag_id}/{self.run_id}/{self.task_id}{index} try {self.try_number}"

    @property
    def is_cut(self) -> bool:
        """Whether an id was too long for a tag, so that Airflow can not be asked for it."""
        return any(is_cut(value) for value in (self.dag_id, self.run_id, self.task_id))

    @property
    def task_instance(self) -> tuple[str, str, str, str, int]:
        """Everything but the try: equal for all the tries of one task instance."""
        return (self.deployment, self.dag_id, self.run_id, self.task_id, self.map_index)

    def owns(self, owner: Owner) -> bool:
        """Whether a job of ``owner`` belongs to this task instance, whatever the try."""
        return self.task_instance == owner.task_instance

    @property
    def name_suffix(self) -> str:
        """
        Ten hex digits that all the tries of one task instance share, and hardly anything else.

        They are a digest of what the tags say, so that a job's name can be held against its tags.
        """
        parts = (self.deployment, self.dag_id, self.run_id, self.task_id)
        values = [part if is_cut(part) else encode_tag_value(part) for part in parts]
        text = "\n".join([*values, str(self.map_index)])
        return hashlib.sha256(text.encode()).hexdigest()[:_SUFFIX_LENGTH]

    def is_confirmed_by(self, job_name: str) -> bool:
        """Whether the name of a job ends in this owner's suffix."""
        return job_name.endswith(f"-{self.name_suffix}")

    def job_name(self, base: str) -> str:
        """
        Return ``base`` with the owner's suffix, cut so that the whole fits into a job name.

        :param base: the job name that the DAG's author chose
        """
        return f"{base[: JOB_NAME_LENGTH - _SUFFIX_LENGTH - 1]}-{self.name_suffix}"


@dataclass(frozen=True, slots=True)
class Ownership:
    """An owner, and what the owner wants to become of the job without it."""

    owner: Owner
    lifetime: Lifetime = Lifetime.TASK
    previous_try: PreviousTry = PreviousTry.CANCEL

    @property
    def is_detached(self) -> bool:
        """Whether the job may live on after its task's success."""
        return self.lifetime is Lifetime.DETACHED

    def tags(self) -> dict[str, str]:
        """Return the tags that say this on a job."""
        owner = self.owner
        tags = {
            TAG_DAG_ID: encode_tag_value(owner.dag_id),
            TAG_RUN_ID: encode_tag_value(owner.run_id),
            TAG_TASK_ID: encode_tag_value(owner.task_id),
            TAG_MAP_INDEX: str(owner.map_index),
            TAG_TRY_NUMBER: str(owner.try_number),
            TAG_LIFETIME: self.lifetime.value,
        }
        if owner.deployment:
            tags[TAG_DEPLOYMENT] = encode_tag_value(owner.deployment)
        if self.previous_try is PreviousTry.REATTACH:
            tags[TAG_PREVIOUS_TRY] = self.previous_try.value
        return tags

    @classmethod
    def of(cls, job: Job) -> Ownership | None:
        """
        Read the owner off a job: off its tags, as far as its name confirms them.

        Who may tag a job can write anything on it, but nobody can change its name.

        :return: None as from :meth:`from_tags`, and when the name does not end in the owner's suffix
        """
        found = cls.from_tags(job.tags)
        return found if found and found.owner.is_confirmed_by(job.name) else None

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> Ownership | None:
        """
        Read the owner off a job.

        :param tags: the job's tags, as DescribeJobs gives them
        :return: None when a tag is missing or not as :meth:`tags` writes it: such a job is nobody's
        """
        try:
            owner = Owner(
                deployment=decode_tag_value(tags.get(TAG_DEPLOYMENT, "")),
                dag_id=decode_tag_value(tags[TAG_DAG_ID]),
                run_id=decode_tag_value(tags[TAG_RUN_ID]),
                task_id=decode_tag_value(tags[TAG_TASK_ID]),
                map_index=_number(tags[TAG_MAP_INDEX]),
                try_number=_number(tags[TAG_TRY_NUMBER]),
            )
            found = cls(
                owner,
                Lifetime(tags[TAG_LIFETIME]),
                PreviousTry(tags.get(TAG_PREVIOUS_TRY, PreviousTry.CANCEL)),
            )
        except (KeyError, ValueError):
            return None
        return found if found._is_valid() else None

    def _is_valid(self) -> bool:
        owner = self.owner
        named = owner.dag_id and owner.run_id and owner.task_id
        return bool(named) and owner.map_index >= -1 and owner.try_number >= 0


def add_owner_tags(tags: Mapping[str, str], ownership: Ownership) -> dict[str, str]:
    """
    Return the tags to submit a job with: the author's own, and the owner's.

    :param tags: the author's own
    :raises ArgumentError: when together they are more than AWS Batch takes, or one of the author's own has
        the name of an owner tag
    """
    owner_tags = ownership.tags()
    taken = sorted(set(tags) & {*OWNER_TAGS, TAG_DEPLOYMENT, TAG_PREVIOUS_TRY})
    if taken:
        raise ArgumentError(
            "tags", taken, "other names: these say who owns the job, and are set by the operator"
        )
    if len(tags) + len(owner_tags) > TAG_LIMIT:
        room = TAG_LIMIT - len(owner_tags)
        raise ArgumentError(
            "tags", sorted(tags), f"at most {room} tags: AWS Batch takes {TAG_LIMIT} with the owner's"
        )
    return {**tags, **owner_tags}


def encode_tag_value(value: str) -> str:
    """
    Write any text in the characters that AWS allows in a tag value, at most 256 of them.

    Letters, digits and ``+-._:/@`` stand for themselves, everything else is ``=`` and two hex digits for each
    byte of UTF-8. What is longer than 256 then is cut, and ends in a digest of the whole.

    Source: AWS Batch user guide, "Tag your AWS Batch resources"; botocore's shape ``TagValue``.
    """
    text = re.sub(r"[^A-Za-z0-9+\-._:/@]", lambda found: _escape(found[0]), value)
    if len(text) <= TAG_VALUE_LENGTH:
        return text
    digest = hashlib.sha256(value.encode()).hexdigest()[:_DIGEST_LENGTH]
    return text[: TAG_VALUE_LENGTH - len(_CUT_MARK) - _DIGEST_LENGTH] + _CUT_MARK + digest


def decode_tag_value(text: str) -> str:
    """
    Read what :func:`encode_tag_value` wrote.

    A value that had to be cut is returned as it stands on the job, which no Airflow id is equal to.

    :raises ValueError: when the text can not come from :func:`encode_tag_value`
    """
    if is_cut(text):
        return text
    if re.search(r"=(?![0-9A-F]{2})", text) or len(text) > TAG_VALUE_LENGTH:
        raise ValueError(f"not an encoded tag value: {text!r}")
    pieces = re.split(r"((?:=[0-9A-F]{2})+)", text)
    return "".join(_unescape(piece) if piece.startswith("=") else piece for piece in pieces)


def _number(text: str) -> int:
    """Read a number as Python writes it; ``int()`` would take "+1", " 1" and "1_0" as well."""
    if not re.fullmatch(r"-?(0|[1-9][0-9]{0,8})", text):
        raise ValueError(f"not a number of a tag: {text!r}")
    return int(text)


def is_cut(text: str) -> bool:
    """Whether a tag value holds a digest instead of the end of what it says."""
    return len(text) == TAG_VALUE_LENGTH and text[-_DIGEST_LENGTH - len(_CUT_MARK) :].startswith(_CUT_MARK)


def _escape(character: str) -> str:
    return "".join(f"={byte:02X}" for byte in character.encode())


def _unescape(escaped: str) -> str:
    return bytes.fromhex(escaped.replace("=", "")).decode()
