"""Months of the city's calendar, as `2026-11`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Self
from zoneinfo import ZoneInfo

from plaza_kit.errors import InvalidArgument
from plaza_kit.working_days import working_day


class MonthNotBegun(InvalidArgument):
    """There is nothing to tell of a month that lies in the future."""


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A month of the years 2000 to 2099."""

    year: int
    number: int

    @classmethod
    def of(cls, moment: datetime, zone: ZoneInfo) -> Self:
        """The one in which a moment lies."""
        here = moment.astimezone(zone)
        return cls(here.year, here.month)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The validated form `2026-11`."""
        return cls(int(text[:4]), int(text[5:]))

    def plus(self, months: int) -> Month:
        """So many later, or earlier."""
        count = self.year * 12 + self.number - 1 + months
        return Month(count // 12, count % 12 + 1)

    def begin(self, zone: ZoneInfo) -> datetime:
        """Its first moment, in UTC."""
        return datetime(self.year, self.number, 1, tzinfo=zone).astimezone(UTC)

    def end(self, zone: ZoneInfo) -> datetime:
        """The first moment behind it, in UTC."""
        return self.plus(1).begin(zone)

    def __str__(self) -> str:
        return f"{self.year}-{self.number:02}"


def calendar_until(day: date) -> int:
    """The last year, from three before `day`'s to the one after it, whose days off were published."""
    known = (year for year in range(day.year + 1, day.year - 4, -1) if not working_day(date(year, 1, 1))[1])
    return next(known, day.year - 4)
