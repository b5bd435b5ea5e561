"""What a replay brings: decided once, and its held rows taken in the same transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from plaza_kit.errors import Aborted
from plaza_lake.write import StagedFile
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_ingestion.domain.batches import Decision
from plaza_ingestion.domain.quarantine import NOT_HELD, NOT_REPAIRED, RefusedAgain, RowId, RowState
from plaza_ingestion.storage import quarantined_rows
from plaza_ingestion.storage.final_files import DUPLICATE_OF_TABLE
from plaza_ingestion.storage.quarantined_rows import Entry, Place
from plaza_ingestion.storage.replay_files import Judged, Repaired
from plaza_ingestion.worker.refusal import Reason

_SHOWN: Final = 20
"""Lines that a run names one by one; of more it says how many."""
_ENDED: Final = frozenset({RowState.REPLAYED, RowState.DISCARDED, RowState.REPLAYING})


class RowsTaken(Aborted):
    """A row was discarded between the look and the taking; the next try sees it."""


@dataclass(slots=True)
class Verdict:
    """Every line of a repair file, told apart."""

    taken: list[RowId] = field(default_factory=list)
    """Their repaired rows come in."""
    again: list[RefusedAgain] = field(default_factory=list)
    unwanted: list[int] = field(default_factory=list)
    """Numbers of accepted rows that do not come in."""
    reasons: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def decision(self, accepted: StagedFile | None) -> Decision:
        """As it is kept. Refused lines make no new quarantined rows: theirs is held already."""
        shown = self.notes[:_SHOWN]
        if len(self.notes) > _SHOWN:
            shown.append(f"{len(self.notes) - _SHOWN} lines more were not taken for such reasons")
        filled = accepted if accepted is not None and accepted.rows else None
        return Decision(filled, None, dict(sorted(self.reasons.items())), tuple(shown))


def rows_of(judged: Judged) -> list[RowId]:
    """The quarantined rows that the file names, each once."""
    named = [one.row for one in judged.accepted if one.row is not None]
    named += [again.row for _, again, _ in judged.refused if again is not None]
    return list(dict.fromkeys(named))


def decide(judged: Judged, entries: Mapping[RowId, Entry], key: tuple[str, ...]) -> Verdict:
    """By what is known about the rows now. Of two lines for one row the first accepted one counts."""
    verdict = Verdict()
    lines: dict[RowId, int] = {}
    for number, one in enumerate(judged.accepted):
        problem = _problem(one, entries, lines)
        if one.row is not None and not problem and not one.in_table:
            lines[one.row] = one.line
            verdict.taken.append(one.row)
            continue
        verdict.unwanted.append(number)
        if problem:
            reason, words = problem
            verdict.reasons[reason] += 1
            verdict.notes.append(f"line {one.line}: {words}")
            continue
        assert one.row is not None
        field_name = key[0] if len(key) == 1 else ""
        verdict.reasons[Reason.DUPLICATE_KEY.value] += 1
        verdict.again.append(
            RefusedAgain(one.row, field_name, Reason.DUPLICATE_KEY.value, DUPLICATE_OF_TABLE)
        )
    for line, again, reason in judged.refused:
        entry = entries.get(again.row) if again is not None else None
        if again is None or (entry is not None and entry.state in _ENDED):
            words = "its plaza_row names no held row of this dataset" if entry is None else _ended(entry)
            verdict.reasons[NOT_HELD if entry is not None else reason] += 1
            verdict.notes.append(f"line {line}: {words}")
            continue
        verdict.reasons[reason] += 1
        if again.row not in lines:
            verdict.again.append(again)
    # A statement may touch a row once; of several refusals of one row the last is told.
    verdict.again = list({one.row: one for one in verdict.again if one.row not in lines}.values())
    return verdict


def _problem(
    one: Repaired, entries: Mapping[RowId, Entry], lines: Mapping[RowId, int]
) -> tuple[str, str] | None:
    """Reason and words, when a line that the contract accepts repairs nothing."""
    if one.row is None:
        return NOT_HELD, "its plaza_row names no row of this dataset's quarantine"
    entry = entries.get(one.row)
    if entry is not None and entry.state in _ENDED:
        return NOT_HELD, _ended(entry)
    if one.row in lines:
        return NOT_HELD, f"line {lines[one.row]} of this file repairs the same row {one.row}"
    if one.empty:
        return NOT_REPAIRED, f"row {one.row} has no cells; take its record apart into them"
    return None


def _ended(entry: Entry) -> str:
    if entry.state is RowState.DISCARDED:
        return f"row {entry.row} was discarded"
    return f"row {entry.row} was replayed before" + (f", in version {entry.version}" if entry.version else "")


async def take(connection: AsyncConnection, place: Place, run: str, verdict: Verdict, now: datetime) -> None:
    """In the transaction that keeps the decision. Raises RowsTaken."""
    taken = await quarantined_rows.take(connection, place, run, verdict.taken, now)
    if taken != len(verdict.taken):
        raise RowsTaken("a row of this replay was discarded just now", remedy="it is tried again")
    await quarantined_rows.hold_again(connection, place, run, verdict.again, now)
