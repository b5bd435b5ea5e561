"""What an assessment takes from outside the rows: its moment, the promise, and what rules compare with.

All of it is found before the rows are read, so that the same assessment can be made again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo


class Silence(StrEnum):
    """Why a rule could judge nothing of a version."""

    CODE_LIST_MISSING = "code_list_missing"
    """The code list, or this version of it, is not there."""
    DATASET_MISSING = "dataset_missing"
    """The other dataset is not there, has no version yet, or lacks the fields."""
    DATASET_NOT_SHARED = "dataset_not_shared"
    """The other dataset is another department's and not shared unconditionally."""
    VERSION_BEFORE_MISSING = "version_before_missing"
    """There is no version before, or its rows are kept no more."""
    NO_PROMISE = "no_promise"
    """The dataset promises no update cycle."""
    NO_VALUE = "no_value"
    """No row has a value there."""
    NOT_EVALUABLE = "not_evaluable"
    """The engine cannot evaluate it over these fields."""


@dataclass(frozen=True, slots=True)
class CodeList:
    """One version of a code list."""

    name: str
    """`codeLists/{list}/versions/{version}`."""
    codes: tuple[str, ...]
    """All, or those that are valid on the day."""


@dataclass(frozen=True, slots=True)
class OtherVersion:
    """A version of a dataset that rows are compared with, and the right to read it."""

    name: str
    """`departments/…/datasets/…/versions/{version}`."""
    grant: str
    rows: int


@dataclass(frozen=True, slots=True)
class Around:
    """Everything besides the rows."""

    moment: datetime
    """Of the assessment, UTC."""
    zone: ZoneInfo
    """In which the city's days begin."""
    cycle: timedelta | None = None
    """How often the dataset promises new data; None: it does not."""
    before: OtherVersion | None = None
    code_lists: Mapping[tuple[str, bool], CodeList] = field(default_factory=dict)
    """By the name that the rule gives, and whether only current codes count. Those that are missing are not here."""
    others: Mapping[str, OtherVersion | Silence] = field(default_factory=dict)
    """By dataset."""

    def last_day(self, tolerance: timedelta) -> date:
        """The last day that is not in the future; of the tolerance whole days count."""
        return self.moment.astimezone(self.zone).date() + timedelta(days=tolerance.days)

    def start_of(self, day: date) -> datetime:
        """When the day begins in the city, UTC."""
        return datetime(day.year, day.month, day.day, tzinfo=self.zone).astimezone(UTC)
