"""What a worker's manifest must say before it is believed; its files are checked later, byte by byte."""

from __future__ import annotations

from pathlib import PurePosixPath

from plaza.ingestion.v1 import worker_pb2
from plaza_kit.errors import InvalidArgument


class ManifestContradicts(InvalidArgument):
    """The numbers of a manifest do not add up."""


class PathOutsideLease(InvalidArgument):
    """A staged file is not in the folder of its lease."""


def output_path(run: str, lease: str) -> str:
    """The folder of one lease, relative to the department's prefix."""
    return f"runs/{run}/{lease}"


def check_manifest(manifest: worker_pb2.CompleteLoadRequest, folder: str) -> None:
    """Every row counted once, every file in the lease's own folder. Raises ManifestContradicts, PathOutsideLease."""
    for name in ("accepted", "positions", "refused"):
        if manifest.HasField(name):
            _check_path(name, getattr(manifest, name).path, folder)
    accepted, refused = manifest.accepted.rows, manifest.refused.rows
    if manifest.rows_read != accepted + refused:
        raise ManifestContradicts(
            f"rows_read is {manifest.rows_read}, but {accepted} rows are accepted and {refused} refused"
        )
    if accepted != manifest.positions.rows:
        raise ManifestContradicts(f"{accepted} rows are accepted, but {manifest.positions.rows} have a place")
    if any(count < 0 for count in manifest.refused_by_reason.values()):
        raise ManifestContradicts("refused_by_reason has a negative count")
    counted = sum(manifest.refused_by_reason.values())
    if counted != refused:
        raise ManifestContradicts(f"{refused} rows are refused, but {counted} have a reason")


def check_pulled_path(path: str, folder: str) -> None:
    """That a pulled file lies in its lease's own folder. Raises PathOutsideLease."""
    _check_path("file", path, folder)


def _check_path(name: str, path: str, folder: str) -> None:
    parts = path.split("/")
    if (
        str(PurePosixPath(path).parent) != folder
        or "" in parts
        or "." in parts
        or ".." in parts
        or "\\" in path
    ):
        raise PathOutsideLease(
            f"{name}.path: {path!r} is not a file of {folder}", remedy="stage into output_path of the lease"
        )
