"""Where a Spark Connect server is, when it is used, and how it fails."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import grpc
from plaza_kit.errors import FailedPrecondition, Unavailable

if TYPE_CHECKING:
    from pyspark.sql.connect.session import SparkSession

_RETRIES: Final = 3
"""Of one request, within seconds; the job that asks is tried again as well."""
_AWAY: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
_TOLD: Final = re.compile(
    r"^(?:\w+\.)*(?:FileNotFoundError|ModuleNotFoundError|PermissionError|OtherRelease): .{,500}",
    re.MULTILINE,
)
"""What of a server's complaint is told: whatever else it says may hold values of rows."""


class SparkUnavailable(Unavailable):
    """The Spark Connect server does not answer."""


class SparkFailed(FailedPrecondition):
    """The Spark Connect server answers, and cannot do it."""


@dataclass(frozen=True, slots=True)
class Spark:
    """A Spark Connect server, and for which tables it is there."""

    url: str = field(repr=False)
    """`sc://host:port`, perhaps with `/;use_ssl=true;token=…`."""
    from_rows: int = 0
    """Versions with fewer rows are judged here."""
    partitions: int = 8
    """In so many parts a scan is done, about as many as the workers have cores."""

    def takes(self, rows: int) -> bool:
        """Whether a version of so many rows is judged there."""
        return rows >= self.from_rows

    @contextmanager
    def session(self) -> Iterator[SparkSession]:
        """A session of its own. Raises `SparkUnavailable`, `SparkFailed`, also for what is done within."""
        # Loading it takes a second and 100 MB: only who uses Spark pays for it.
        from pyspark.errors.exceptions.base import PySparkException
        from pyspark.sql.connect.client.retries import DefaultPolicy
        from pyspark.sql.connect.session import SparkSession

        try:
            opened = SparkSession.builder.remote(self.url).create()
            opened.client.set_retry_policies([DefaultPolicy(max_retries=_RETRIES)])
            try:
                yield opened
            finally:
                opened.stop()
        except (PySparkException, grpc.RpcError) as error:
            # Without the cause, whose text may hold values of rows; the server's own log has it.
            raise _in_our_words(error) from None


def _in_our_words(error: Exception) -> Exception:
    code = getattr(error, "getGrpcStatusCode", getattr(error, "code", lambda: None))()
    if code in _AWAY or "StatusCode.UNAVAILABLE" in str(error):
        return SparkUnavailable(
            "the Spark Connect server does not answer",
            remedy="Check PLAZA_SPARK_CONNECT and the server; the assessment is tried again.",
        )
    told = _TOLD.findall(str(error))
    return SparkFailed(
        f"the Spark Connect server cannot do it: {told[-1] if told else type(error).__name__}",
        remedy="Its workers need this release of plaza-quality and a way to the lake's files; docs/spark.md.",
    )
