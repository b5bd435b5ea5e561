"""What a comparison found, and differences with their values, as messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

import pyarrow as pa
from plaza.quality.v1 import reconciliations_pb2 as pb
from plaza_lake.comparing import Comparison
from plaza_lake.differences import Hint
from plaza_lake.reconcile import Kind, Reconciled

from plaza_quality.domain.reconciliations import LEFT, RIGHT, rate, rule_text
from plaza_quality.domain.scores import published

_KINDS: Final = {
    kind: pb.DifferenceKind.Value(f"DIFFERENCE_KIND_{kind.name}")
    for kind in Kind
    if kind is not Kind.INCOMPARABLE
} | {Kind.INCOMPARABLE: pb.DIFFERENCE_KIND_NOT_COMPARABLE}
_HINTS: Final = {
    hint: pb.PatternKind.Value(f"PATTERN_KIND_{'DAY_AND_MONTH' if hint is Hint.DAY_AND_MONTH else hint.name}")
    for hint in Hint
}


def kind_of(message: pb.DifferenceKind.ValueType) -> Kind | None:
    """The kind; None for all."""
    return next((kind for kind, value in _KINDS.items() if value == message), None)


def result_message(
    found: Reconciled, comparison: Comparison, authority: pb.Authority.ValueType, code_lists: Iterator[str]
) -> pb.ReconciliationResult:
    """With the accuracy, where somebody is authoritative."""
    result = pb.ReconciliationResult(
        left_rows=found.left_rows,
        right_rows=found.right_rows,
        agreed=found.agreed,
        differences=[pb.DifferenceCount(kind=_KINDS[kind], count=rows) for kind, rows in found.kinds.items()],
        left_repeated_keys=found.repeated_keys[LEFT],
        right_repeated_keys=found.repeated_keys[RIGHT],
        listed=found.entries.num_rows,
        code_lists=sorted(set(code_lists)),
    )
    for pair, counts in zip(comparison.fields, found.fields, strict=True):
        field = result.fields.add(
            left=pair.left,
            right=pair.right,
            agreed=counts.agreed,
            differing=counts.differing,
            left_absent=counts.left_absent,
            right_absent=counts.right_absent,
            both_absent=counts.both_absent,
        )
        if (agreement := rate(counts.agreed, counts.differing)) is not None:
            field.agreement = float(published(agreement))
    for pattern in found.patterns:
        pair = comparison.fields[pattern.field]
        told = result.patterns.add(
            kind=pb.PatternKind.Value(f"PATTERN_KIND_{pattern.kind.name}"),
            left=pair.left,
            right=pair.right,
            count=pattern.rows,
        )
        if pattern.constant is not None:
            told.constant = pattern.constant
        if pattern.other_field is not None:
            told.other_left = comparison.fields[pattern.other_field].left
    accuracy = rate(found.agreed, found.kinds.get(Kind.DIFFERING, 0))
    if authority and accuracy is not None:
        result.accuracy = float(published(accuracy))
    return result


def differences(
    explained: pa.Table, numbers: Sequence[int], comparison: Comparison
) -> Iterator[pb.Difference]:
    """Explained rows (`plaza_lake.reconcile.explain`) with their numbers in the run."""
    for number, row in zip(numbers, explained.to_pylist(), strict=True):
        side = LEFT if row["_lp"] is not None else RIGHT
        key = [value_text(row[f"_r{side}_k{at}"]) or "" for at in range(len(comparison.key))]
        fields = list(_fields(row, comparison)) if None not in (row["_lp"], row["_rp"]) else []
        yield pb.Difference(number=number, kind=_KINDS[Kind(row["kind"])], key=key, fields=fields)


def _fields(row: dict[str, Any], comparison: Comparison) -> Iterator[pb.FieldDifference]:
    for at, pair in enumerate(comparison.fields):
        raw = [row[f"_r{side}_f{at}"] for side in (LEFT, RIGHT)]
        compared = [row[f"_n{side}_f{at}"] for side in (LEFT, RIGHT)]
        absent = [value is None for value in compared]
        if not row["_differs"] >> at & 1 and absent[LEFT] == absent[RIGHT]:
            continue
        yield pb.FieldDifference(
            left=pair.left,
            right=pair.right,
            left_value=value_text(raw[LEFT]),
            right_value=value_text(raw[RIGHT]),
            left_compared=value_text(compared[LEFT]),
            right_compared=value_text(compared[RIGHT]),
            rule=rule_text(pair, left_absent=absent[LEFT], right_absent=absent[RIGHT]),
            hints=[_HINTS[hint] for hint in Hint(row[f"_h{at}"])],
        )


def value_text(value: Any) -> str | None:
    """A value as people read it; None stays None."""
    match value:
        case None | str():
            return value
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case bytes():
            return value.hex()
    return str(value)
