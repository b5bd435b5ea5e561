"""One pull: from an order to a file in the lease's folder, and what is told about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from plaza.ingestion.v1 import worker_pb2
from plaza_kit.errors import InvalidArgument

from plaza_ingestion.worker.load import Progress
from plaza_ingestion.worker.pull_secrets import Secrets
from plaza_ingestion.worker.pulled_file import Pulled, PulledFile

FILE: Final = "pulled"
"""Its name in the lease's folder."""


class UnknownConnector(InvalidArgument):
    """This worker does not know how to reach such a source."""


def pull(
    work: worker_pb2.Work,
    out_dir: Path,
    secrets: Secrets,
    *,
    progress: Callable[[Progress], None],
    cancelled: Callable[[], bool],
) -> worker_pb2.CompletePullRequest:
    """Fetches the file of `work` into `out_dir`. Raises as the connectors, and `UnknownConnector`. Blocking."""
    order = work.pull
    with PulledFile(out_dir / FILE, order.max_bytes, progress=progress, cancelled=cancelled) as file:
        match order.WhichOneof("connector"):
            # A worker that only reads files loads neither: it is smaller, and has no database driver in it.
            case "http":
                from plaza_ingestion.worker import pull_http

                pulled = pull_http.fetch(order.http, order.cursor, secrets, file)
            case "postgres":
                from plaza_ingestion.worker import pull_postgres

                pulled = pull_postgres.fetch(
                    order.postgres, order.cursor, order.mode, secrets, file, cancelled=cancelled
                )
            case _:
                raise UnknownConnector(
                    "This worker does not know how to reach the source.",
                    remedy="Update the department's worker to the version of the platform.",
                )
    return _message(work, pulled)


def _message(work: worker_pb2.Work, pulled: Pulled) -> worker_pb2.CompletePullRequest:
    request = worker_pb2.CompletePullRequest(
        lease=work.lease, file_name=pulled.file_name, cursor=pulled.cursor, warnings=pulled.warnings
    )
    if pulled.not_modified:
        request.not_modified = True
    else:
        path = f"{work.output_path.rstrip('/')}/{FILE}"
        request.file.CopyFrom(
            worker_pb2.StagedFile(path=path, size_bytes=pulled.size_bytes, sha256=pulled.sha256)
        )
    return request
