"""By what refused rows can be chosen: reasons and fields, each with the number of rows that it would leave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from plaza.ingestion.v1 import ingestion_pb2 as ing

from plaza_gateway.console.desk import Which, each

LISTED = 500
"""Rows that are looked through for what there is to choose by."""
MOST = 12
"""Choices on the page, those with the most rows."""


@dataclass(frozen=True, slots=True)
class Facet:
    """One way to choose."""

    value: str
    rows: int
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Facets:
    """What to choose by. Reasons are counted among the rows of the chosen field, and the other way round."""

    reasons: tuple[Facet, ...] = ()
    fields: tuple[Facet, ...] = ()

    @property
    def any(self) -> bool:
        """Is there a choice, or was one made?"""
        found = (self.reasons, self.fields)
        return any(len(some) > 1 or any(one.chosen for one in some) for some in found)


class Rows(Protocol):
    """The part of the desk that is needed."""

    async def quarantine(
        self, dataset: str, which: Which, size: int, token: str = ""
    ) -> ing.ListQuarantinedRowsResponse: ...


async def facets(
    desk: Rows, dataset: str, which: Which, known: ing.ListQuarantinedRowsResponse | None = None
) -> Facets:
    """Of the rows in this state, whatever is chosen of them already. `known`: all of them, where a page has them."""
    everything = replace(which, reason="", field="")
    listed = known if known is not None else await desk.quarantine(dataset, everything, LISTED)
    # A row whose correction was refused says why it was refused last; chosen is by what the load said.
    said = [row for row in listed.rows if not _tried(row)]
    if len(said) == len(listed.rows) and not listed.next_page_token:
        return _counted(said, which)
    reasons = _names([row.reason for row in listed.rows], which.reason)
    fields = _names([row.field for row in listed.rows], which.field)
    return Facets(
        await _asked(desk, dataset, [replace(which, reason=name) for name in reasons], reasons, which.reason),
        await _asked(desk, dataset, [replace(which, field=name) for name in fields], fields, which.field),
    )


def _counted(rows: Sequence[ing.QuarantinedRow], which: Which) -> Facets:
    reasons = Counter(row.reason for row in rows if not which.field or row.field == which.field)
    fields = Counter(row.field for row in rows if not which.reason or row.reason == which.reason)
    return Facets(_shown(reasons, which.reason), _shown(fields, which.field))


async def _asked(
    desk: Rows, dataset: str, wanted: Sequence[Which], names: Sequence[str], chosen: str
) -> tuple[Facet, ...]:
    pages = await each([desk.quarantine(dataset, one, 1) for one in wanted])
    return _shown(Counter({name: page.total_size for name, page in zip(names, pages, strict=True)}), chosen)


def _names(found: Sequence[str], chosen: str) -> list[str]:
    """What occurs most, and what is chosen."""
    names = [name for name, _ in Counter(filter(None, found)).most_common(MOST)]
    return names if chosen in ("", *names) else [*names, chosen]


def _shown(counts: Counter[str], chosen: str) -> tuple[Facet, ...]:
    """Those with rows, most first; the chosen one in any case."""
    names = [name for name, rows in counts.most_common() if name and rows][:MOST]
    if chosen and chosen not in names:
        names.append(chosen)
    return tuple(Facet(name, counts[name], name == chosen) for name in names)


def _tried(row: ing.QuarantinedRow) -> bool:
    return bool(row.replay_run) and row.state == ing.QUARANTINE_STATE_HELD
