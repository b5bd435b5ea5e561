"""A rule's comparison with another source, over the columns that both have."""

from __future__ import annotations

from datetime import timedelta

from plaza_lake.comparing import Comparison, Family, Folding, Incomparable, Pair, family
from plaza_lake.fields import TableSchema

from plaza_quality.domain.around import Silence
from plaza_quality.domain.checks import AgreesWith


def comparison_of(check: AgreesWith, here: TableSchema, there: TableSchema) -> Comparison | str:
    """Tolerances and foldings where they fit; or why nothing can be compared."""
    named = (
        list(zip(check.key, check.other_key, strict=True)),
        list(zip(check.fields, check.other_fields, strict=True)),
    )
    for _, other in (*named[0], *named[1]):
        if there.column(other) is None:
            return f"{Silence.DATASET_MISSING}: {other}"
    try:
        key, fields = (
            tuple(_pair(check, pair, here, there, key=number == 0) for pair in pairs)
            for number, pairs in enumerate(named)
        )
        return Comparison(key, fields)
    except Incomparable as error:
        return f"{Silence.NOT_EVALUABLE}: {error.message}"


def _pair(
    check: AgreesWith, names: tuple[str, str], here: TableSchema, there: TableSchema, *, key: bool
) -> Pair:
    kind = family(Pair(*names), here, there, key=key)
    numeric = kind in (Family.INTEGER, Family.NUMBER) and not key
    timed = kind in (Family.DATE, Family.TIMESTAMP) and not key
    return Pair(
        *names,
        absolute=check.absolute if numeric else 0.0,
        relative=check.relative if numeric else 0.0,
        within=check.within if timed else timedelta(0),
        folding=check.folding if kind is Family.TEXT else Folding(),
    )
