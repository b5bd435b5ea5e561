"""Drafts of rules about several columns, or about the table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

from plaza.common.v1 import contract_pb2 as pb
from plaza.quality.v1 import profiles_pb2
from plaza_lake.ir import Scalar

from plaza_quality.domain.suggestions import Draft, draft
from plaza_quality.domain.suggestions_columns import Subject, of_column

_MOST_MAPPED: Final = 20
_LONGEST: Final = 2000
"""Characters of an expression."""
_ROWS_OF_A_KEY: Final = 1000
"""Of fewer rows, several columns together tell each apart by chance."""
_VERSIONS: Final = 3
"""Steps between versions that are needed to say how a table grows."""
_ROUND: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything drafts are made of."""

    profile: profiles_pb2.Profile
    contract: pb.Contract
    keys: Sequence[tuple[str, ...]] = ()
    ordered: Sequence[tuple[str, str]] = ()
    """Lower, upper."""
    present: Sequence[tuple[str, Sequence[Scalar], str]] = ()
    """Category, some of its values, the field that has a value then."""
    mappings: Mapping[tuple[str, str], Sequence[tuple[Scalar, Scalar]]] = field(default_factory=dict)
    """Of a determinant and a dependent: all pairs of their values, where they are few."""
    rising: Sequence[tuple[str, str, tuple[str, ...]]] = ()
    """Field, what orders it, within what."""
    cycle: timedelta | None = None
    history: Sequence[int] = ()
    """Rows of the versions so far, oldest first."""


def drafts(seen: Seen) -> list[Draft]:
    """All kinds, in the order of the table."""
    return [
        *_of_columns(seen),
        *_unique(seen),
        *_compared(seen),
        *_conditional(seen),
        *_mapped(seen),
        *_monotone(seen),
        *_fresh(seen),
        *_row_count(seen),
    ]


def _of_columns(seen: Seen) -> Iterator[Draft]:
    fields = {each.name: each for each in seen.contract.fields}
    numbering = {name for names in seen.keys for name in names} | {name for name, _, _ in seen.rising}
    for column in seen.profile.columns:
        described = fields.get(column.field, pb.Field(name=column.field, type=column.type))
        if described.type != column.type:
            # The contract speaks of the next version already.
            described = pb.Field(name=column.field, type=column.type, title=described.title)
        numbers = column.type == pb.FIELD_TYPE_INTEGER and column.field in numbering
        in_key = column.field in seen.contract.key
        yield from of_column(Subject(column, described, seen.profile.rows, in_key, numbers))


def _unique(seen: Seen) -> Iterator[Draft]:
    for names in seen.keys:
        # What the key tells apart already, more columns tell apart too.
        if seen.contract.key and set(names) >= set(seen.contract.key):
            continue
        if len(names) > 1 and seen.profile.rows < _ROWS_OF_A_KEY:
            continue
        yield draft(
            f"{_titles(seen, names)}不重复",
            80 if len(names) == 1 else 68,
            0.001,
            f"{len(names)} column(s) tell all rows apart",
            major=True,
            unique=pb.UniqueCheck(fields=names),
        )


def _compared(seen: Seen) -> Iterator[Draft]:
    for lower, upper in seen.ordered:
        check = pb.CompareCheck(left=lower, comparison=pb.COMPARISON_LESS_OR_EQUAL, right=upper)
        yield draft(
            f"{_titles(seen, (lower,))}不大于{_titles(seen, (upper,))}",
            78,
            0.02,
            "both rise and fall together, and one is hardly ever above the other",
            compare=check,
        )


def _conditional(seen: Seen) -> Iterator[Draft]:
    for category, values, name in seen.present:
        shown = " OR ".join(map(_filter_literal, values))
        when = f"{category} = {shown}" if len(values) == 1 else f"{category} = ({shown})"
        if len(when) > _LONGEST:
            continue
        listed = "、".join(map(str, values))
        yield draft(
            f"{_titles(seen, (category,))}为 {listed} 时{_titles(seen, (name,))}有值",
            62,
            0.0,
            f"every row with {when} has one; at least one in five of the others has none",
            fields=(category, name),
            conditional=pb.ConditionalCheck(when=when, then=f"{name} != null"),
        )


def _mapped(seen: Seen) -> Iterator[Draft]:
    told: set[frozenset[str]] = set()
    for (one, other), pairs in seen.mappings.items():
        if len(pairs) > _MOST_MAPPED or frozenset((one, other)) in told:
            continue
        cases = " ".join(f"WHEN {_sql(left)} THEN {other} = {_sql(right)}" for left, right in pairs)
        text = f"CASE {one} {cases} END"
        if len(text) > _LONGEST:
            continue
        told.add(frozenset((one, other)))
        yield draft(
            f"{_titles(seen, (one,))}决定{_titles(seen, (other,))}",
            58,
            0.01,
            f"each of {len(pairs)} values of {one} comes with one value of {other}",
            fields=(one, other),
            expression=pb.ExpressionCheck(expression=text),
        )


def _monotone(seen: Seen) -> Iterator[Draft]:
    for name, time, series in seen.rising:
        yield draft(
            f"{_titles(seen, (name,))}随{_titles(seen, (time,))}递增",
            45,
            0.001,
            f"never falls when ordered by {time}",
            monotone=pb.MonotoneCheck(field=name, ordered_by=time, within=series),
        )


def _fresh(seen: Seen) -> Iterator[Draft]:
    name = time_field(seen.contract, seen.profile)
    if seen.cycle is None or not name:
        return
    newest = next(each.maximum for each in seen.profile.columns if each.field == name)
    yield draft(
        f"{_titles(seen, (name,))}按更新周期更新",
        48,
        1.0,  # a promise that is not kept is a promise all the same
        f"the update cycle promises new data every {seen.cycle}; the newest is of {newest}",
        freshness=pb.FreshnessCheck(field=name),
    )


def _row_count(seen: Seen) -> Iterator[Draft]:
    steps = [
        100 * (after - before) / before
        for before, after in zip(seen.history, seen.history[1:], strict=False)
        if before
    ]
    if len(steps) < _VERSIONS:
        if seen.profile.rows:
            check = pb.RowCountCheck(minimum=1)
            yield draft("数据不为空", 42, 0.0, f"{seen.profile.rows:,} rows", row_count=check)
        return
    growth, loss = _roomy(max(steps)), min(_roomy(-min(steps)), 100)
    yield draft(
        f"行数变化在 -{loss} % 到 +{growth} % 之间",
        46,
        0.0,
        f"{len(steps)} steps between versions: from {min(steps):+.3g} % to {max(steps):+.3g} %",
        row_count=pb.RowCountCheck(growth_percent=growth, loss_percent=loss),
    )


def time_field(contract: pb.Contract, profile: profiles_pb2.Profile) -> str:
    """The field that says of when a row is: a moment or day of the key, else the only one; empty if unclear."""
    times = [
        each.field
        for each in profile.columns
        if each.type in (pb.FIELD_TYPE_TIMESTAMP, pb.FIELD_TYPE_DATE) and each.maximum
    ]
    of_key = [name for name in times if name in contract.key]
    return of_key[0] if of_key else times[0] if len(times) == 1 else ""


def _roomy(percent: float) -> int:
    """Twice as much, in round numbers; at least 1."""
    return next((each for each in _ROUND if each >= 2 * percent), _ROUND[-1])


def _titles(seen: Seen, names: Sequence[str]) -> str:
    titles = {each.name: each.title or each.name for each in seen.contract.fields}
    return "、".join(titles.get(name, name) for name in names)


def _filter_literal(value: Scalar) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _sql(value: Scalar) -> str:
    match value:
        case bool():
            return "TRUE" if value else "FALSE"
        case str():
            return "'" + value.replace("'", "''") + "'"
        case datetime():
            return f"CAST('{value.isoformat()}' AS TIMESTAMPTZ)"
        case date():
            return f"CAST('{value.isoformat()}' AS DATE)"
    return str(value)
