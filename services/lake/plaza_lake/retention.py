"""Which versions are kept, and why the others may go. Pure rules; `expiry` carries them out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from plaza_kit.errors import InvalidArgument

from plaza_lake.versions import VersionInfo


class InvalidRetention(InvalidArgument):
    """A rule that would let the newest version go."""


@dataclass(frozen=True, slots=True)
class Retention:
    """Kept are the newest, the young, the last of each local day, and whatever is pinned.

    The young are kept so that a pin that is on its way (a release in the making, a delivery that begins) always
    arrives in time.
    """

    newest: int = 20
    """At least 1."""
    young: timedelta = timedelta(hours=24)
    """Nothing younger goes."""
    daily: timedelta | None = timedelta(days=400)
    """For how long the last version of a day is kept; None: for ever."""
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Asia/Shanghai"))
    """Where the days are."""

    def __post_init__(self) -> None:
        if self.newest < 1 or self.young < timedelta(0):
            raise InvalidRetention(
                f"keep the newest {self.newest} and those younger than {self.young}: that would lose the newest",
                remedy="Keep at least one, and for no negative time.",
            )

    def words(self) -> str:
        """The rule for people: it stands in the tombstone of what it let go."""
        days = "" if self.daily is None else f" for {self.daily.days} days"
        hours = int(self.young.total_seconds() // 3600)
        return (
            f"kept are the newest {self.newest}, those younger than {hours} h, the last of each day{days},"
            " and pinned ones"
        )

    def day(self, moment: datetime) -> date:
        """The local day."""
        return moment.astimezone(self.zone).date()

    def days(self, known: Sequence[VersionInfo], now: datetime) -> Mapping[date, VersionInfo]:
        """The last version of each local day, as far back as they are kept."""
        last: dict[date, VersionInfo] = {}
        for info in sorted(known, key=lambda info: info.version):
            last[self.day(info.committed_at)] = info
        if self.daily is None:
            return last
        oldest = self.day(now - self.daily)
        return {day: info for day, info in last.items() if day >= oldest}

    def due(
        self, known: Sequence[VersionInfo], pinned: Collection[int], now: datetime
    ) -> tuple[VersionInfo, ...]:
        """The versions that may go, oldest first. What is due stays due, unless it is pinned."""
        ordered = sorted(known, key=lambda info: info.version)
        kept = {info.version for info in ordered[-self.newest :]}
        kept.update(info.version for info in self.days(ordered, now).values())
        kept.update(pinned)
        return tuple(
            info for info in ordered if info.version not in kept and now - info.committed_at >= self.young
        )
