"""When a source is pulled, as people say it and as cron says it; pure.

What people say covers the common cases; any other schedule is shown and taken as its five fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

EVERY = ("hand", "hourly", "daily", "weekly", "monthly", "cron")
"""Choices of the form."""
DEFAULT_ZONE = "Asia/Shanghai"
_TIME = re.compile(r"([01]?[0-9]|2[0-3])[:：]([0-5][0-9])", re.ASCII)
_HOURLY = re.compile(r"([0-5]?[0-9]) \* \* \* \*", re.ASCII)
_AT = re.compile(r"([0-5]?[0-9]) ([01]?[0-9]|2[0-3]) (1|\*) \* (1|\*)", re.ASCII)


class BadTime(ValueError):
    """A schedule that says nothing; the argument is the place in the form, `at` or `cron`."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """A schedule as people say it."""

    every: str = "hand"
    at: str = ""
    """`02:30`: of every day, Monday, or first of the month; `00:10`: ten minutes past every hour."""
    cron: str = ""
    """Five fields, where nothing else says it."""
    zone: str = ""
    """Empty: the city's own."""

    @classmethod
    def of_cron(cls, cron: str, zone: str = "") -> Rhythm:
        """As it stands on a page; empty: by hand."""
        zone = "" if zone == DEFAULT_ZONE else zone
        if not cron:
            return cls(zone=zone)
        if found := _HOURLY.fullmatch(cron):
            return cls("hourly", f"00:{int(found[1]):02}", zone=zone)
        found = _AT.fullmatch(cron)
        every = {("*", "*"): "daily", ("*", "1"): "weekly", ("1", "*"): "monthly"}
        if found is not None and (found[3], found[4]) in every:
            at = f"{int(found[2]):02}:{int(found[1]):02}"
            return cls(every[found[3], found[4]], at, zone=zone)
        return cls("cron", cron=cron, zone=zone)

    @classmethod
    def of_form(cls, form: Mapping[str, str]) -> Rhythm:
        """As somebody chose it."""
        every = form.get("every", "")
        return cls(
            every if every in EVERY else "hand",
            form.get("at", "").strip(),
            " ".join(form.get("cron", "").split()),
            form.get("zone", "").strip(),
        )

    def to_cron(self) -> str:
        """Five fields; empty: by hand. Raises BadTime."""
        if self.every == "hand":
            return ""
        if self.every == "cron":
            if not self.cron:
                raise BadTime("cron")
            return self.cron
        hour, minute = self._clock()
        rest = {"daily": "* * *", "weekly": "* * 1", "monthly": "1 * *"}
        return f"{minute} * * * *" if self.every == "hourly" else f"{minute} {hour} {rest[self.every]}"

    def _clock(self) -> tuple[int, int]:
        found = _TIME.fullmatch(self.at)
        if found is None:
            raise BadTime("at")
        return int(found[1]), int(found[2])
