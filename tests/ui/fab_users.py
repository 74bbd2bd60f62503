"""Makes a user for each FAB role that is named, called like it; one process, as each takes long to start."""

from __future__ import annotations

import sys

from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder


def main(roles: list[str]) -> None:
    """Make the users."""
    with get_application_builder() as builder:
        for role in roles:
            found = builder.sm.find_role(role.capitalize())
            assert builder.sm.add_user(role, role, role, f"{role}@x.org", found, role)


if __name__ == "__main__":
    main(sys.argv[1:])
