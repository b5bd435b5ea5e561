"""Working days of the Chinese calendar, shifted holidays (调休) included: what legal and internal deadlines count.

The days off of a year are published at the end of the year before. In a year that is not published yet Monday to
Friday count, and a date that rests on that is *provisional*.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import chinese_calendar

ZONE: Final = ZoneInfo("Asia/Shanghai")
"""Of all civil dates here."""
_SATURDAY: Final = 5


@dataclass(frozen=True, slots=True)
class Due:
    """A day by whose end something must be done."""

    day: date
    provisional: bool
    """Some year on the way is not published yet; to be computed again when it is."""

    @property
    def moment(self) -> datetime:
        """The end of the day."""
        return datetime.combine(self.day + timedelta(days=1), time(), ZONE)


def working_day(day: date) -> tuple[bool, bool]:
    """Whether people work on a day, and whether that is provisional."""
    try:
        works = chinese_calendar.is_workday(day)  # type: ignore[no-untyped-call]  # the library has no types
        return bool(works), False
    except NotImplementedError:
        return day.weekday() < _SATURDAY, True


def due(begun: datetime, days: int) -> Due:
    """`days` working days after the day on which something began; that day itself does not count (Civil Code, art.
    201). Raises ValueError unless `days` is at least 1."""
    if days < 1:
        raise ValueError(f"{days} working days")
    day = begun.astimezone(ZONE).date()
    provisional = False
    while days:
        day += timedelta(days=1)
        works, guessed = working_day(day)
        provisional = provisional or guessed
        days -= works
    return Due(day, provisional)
