"""When a source is pulled next."""

from __future__ import annotations

import re
import zoneinfo
from datetime import UTC, datetime, timedelta
from typing import Final

from croniter import CroniterError, croniter  # type: ignore[import-untyped]  # it comes without types
from plaza.ingestion.v1 import sources_pb2 as pb
from plaza_kit.errors import FieldViolation, InvalidArgument

DEFAULT_ZONE: Final = "Asia/Shanghai"
_FIELD: Final = r"[0-9*/,-]+|[0-9]*[A-Za-z]{3}(?:[-,][A-Za-z]{3})*"
"""Numbers, ranges, steps, lists and names; not the extensions of one implementation, such as random minutes."""
_CRON: Final = re.compile(rf"(?:{_FIELD})(?: +(?:{_FIELD})){{4}}")
_FIRST_PAUSE: Final = timedelta(minutes=1)
_LONGEST_PAUSE: Final = timedelta(hours=1)


class BadSchedule(InvalidArgument):
    """A schedule cannot be read, or never comes."""


def check_schedule(schedule: pb.PullSchedule, now: datetime) -> None:
    """Raises BadSchedule."""
    next_time(schedule, now)


def next_time(schedule: pb.PullSchedule, now: datetime) -> datetime:
    """The first time behind `now`, in UTC. Raises BadSchedule."""
    zone = _zone(schedule)
    if not _CRON.fullmatch(schedule.cron):
        raise _bad("schedule.cron", f"{schedule.cron!r} is not five fields of numbers, *, lists and ranges")
    try:
        found: datetime = croniter(schedule.cron, now.astimezone(zone)).get_next(datetime)
    except (CroniterError, ValueError) as error:
        raise _bad("schedule.cron", f"{schedule.cron!r} names no time: {error}") from error
    return found.astimezone(UTC)


def after_failure(failures: int, now: datetime) -> datetime:
    """When to try again after so many failures in a row: a minute, then twice as long each time, at most an
    hour. A nightly source gets more than one chance a night, one of every minute bothers its server less."""
    pause: timedelta = min(_FIRST_PAUSE * 2 ** min(max(failures, 1) - 1, 16), _LONGEST_PAUSE)
    return now + pause


def _zone(schedule: pb.PullSchedule) -> zoneinfo.ZoneInfo:
    name = schedule.zone or DEFAULT_ZONE
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise _bad("schedule.zone", f"there is no zone {name!r}") from error


def _bad(field: str, words: str) -> BadSchedule:
    return BadSchedule(
        f"{field}: {words}",
        remedy="write for instance cron `30 2 * * *` (every night at half past two) and zone `Asia/Shanghai`",
        violations=(FieldViolation(f"source.{field}", words),),
    )
