"""What a grant opens, without its rows."""

from __future__ import annotations

from plaza_kit.grants import GrantVerifier
from plaza_lake.access import open_grant
from plaza_lake.tables import Lake, TableNotFound
from plaza_lake.versions import VersionExpired, VersionNotFound


def opened(lake: Lake, verifier: GrantVerifier, grant: str) -> tuple[int, int] | None:
    """The version's number and its rows; None when it is not there, or no more.

    Blocking. Raises `GrantRefused`, `LakeUnavailable`.
    """
    try:
        version = open_grant(lake, verifier, grant).version
    except (TableNotFound, VersionNotFound, VersionExpired):
        return None
    return version.version, version.total_rows
