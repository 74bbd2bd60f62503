"""The audit of the pinned versions, against an advisory database on disk."""

from __future__ import annotations

import pytest

from tests.packaging.audit import Advisories, audit, served

ADVISORY = """
id: PYSEC-2026-0
details: What goes wrong.
published: 2026-01-02T03:04:05.678901Z
affected:
- package:
    name: some-package
    ecosystem: PyPI
  ranges:
  - type: ECOSYSTEM
    events:
    - introduced: "1.5"
    - fixed: 1.10
    - introduced: "3.0"
    - last_affected: 3.2-NA
  versions:
  - 0.9
"""


@pytest.fixture
def database(tmp_path):
    folder = tmp_path / "database" / "vulns" / "some-package"
    folder.mkdir(parents=True)
    (folder / "PYSEC-2026-0.yaml").write_text(ADVISORY)
    return tmp_path / "database"


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ("0.9", True),
        ("1.4", False),
        ("1.5", True),
        ("1.9", True),
        ("1.10", False),
        ("2.0", False),
        ("3.0", True),
        ("3.2", True),
        ("3.2.1", False),
    ],
)
def test_a_version_is_affected_by_name_or_range(database, version, affected):
    """Several ranges in one list of events, as OSV reads it."""
    assert bool(Advisories(database).of("Some_Package", version)) is affected


@pytest.mark.parametrize(("version", "code"), [("1.6", 1), ("2.0", 0)])
def test_pip_audit_reads_the_checkout(database, tmp_path, capfd, version, code):
    """As it reads OSV; what is found is named, and an error."""
    pins = tmp_path / "pins.txt"
    pins.write_text(f"some-package=={version}\n")
    with served(Advisories(database)) as url:
        assert audit(pins, "--vulnerability-service", "osv", "--osv-url", url) == code
    assert ("PYSEC-2026-0" in capfd.readouterr().out) is bool(code)


def test_a_folder_without_advisories_is_refused(tmp_path):
    """Rather than that nothing is found in it."""
    with pytest.raises(ValueError, match="expected a checkout of PyPA's advisory database"):
        Advisories(tmp_path)
