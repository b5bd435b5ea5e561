"""Forms of texts: a pattern, and for some the check character or the calendar, as arithmetic of the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import Final

from plaza_lake.fields import FieldType
from plaza_lake.render import DIALECT, literal
from sqlglot import exp

from plaza_quality.domain.checks import TextFormat
from plaza_quality.domain.patterns import PATTERNS

_CREDIT_SIGNS: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"
"""The 31 signs of GB 32100-2015 by value."""
_ALL_SIGNS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""The 36 signs of GB 11714-1997 by value."""
_CHECK_11: Final = "0123456789X"


def has_format(column: exp.Column, wanted: TextFormat) -> exp.Expr:
    """True or false for a text, null without one."""
    pattern = full_match(column, PATTERNS[wanted])
    more = _MORE.get(wanted)
    if more is None:
        return pattern
    return exp.Case(ifs=[exp.If(this=pattern, true=more(column))], default=pattern.copy())


def full_match(column: exp.Column, pattern: str) -> exp.Expr:
    """That the whole text matches."""
    return exp.RegexpFullMatch(this=column.copy(), expression=_text(pattern))


def _resident_id(column: exp.Column) -> exp.Expr:
    # ISO 7064 MOD 11-2: the weights are powers of two, and all eighteen sum up to 1.
    weights = [pow(2, 17 - place, 11) for place in range(17)]
    total = _sum(_sign(column, _CHECK_11, place) * weight for place, weight in enumerate([*weights, 1]))
    born = [_part(column, 7, 4), _text("-"), _part(column, 11, 2), _text("-"), _part(column, 13, 2)]
    return exp.and_((total % 11).eq(1), _calendar_day(born))


def _social_credit_code(column: exp.Column) -> exp.Expr:
    # GB 32100-2015, 5.5: powers of three modulo 31; with the check character the sum is a multiple.
    weights = [*(pow(3, place, 31) for place in range(17)), 1]
    return (_sum(_sign(column, _CREDIT_SIGNS, at) * weight for at, weight in enumerate(weights)) % 31).eq(0)


def _organisation_code(column: exp.Column) -> exp.Expr:
    # GB 11714-1997: eight weights modulo 11; the check character stands behind a hyphen.
    weights = (3, 7, 9, 10, 5, 8, 4, 2)
    total = _sum(_sign(column, _ALL_SIGNS, at) * weight for at, weight in enumerate(weights))
    return ((total + _sign(column, _CHECK_11, 9)) % 11).eq(0)


def _date(column: exp.Column) -> exp.Expr:
    return _calendar_day([_part(column, 1, 10)])


def _calendar_day(parts: Sequence[exp.Expr]) -> exp.Expr:
    """That `YYYY-MM-DD` is a day, year 0 excepted: it comes before year 1 without being one."""
    text = parts[0]
    for part in parts[1:]:
        text = exp.DPipe(this=text, expression=part)
    day = exp.TryCast(this=text, to=exp.DataType.build("DATE", dialect=DIALECT))
    since = exp.GTE(this=day, expression=literal(date(1, 1, 1), FieldType.DATE))
    # No day at all makes a text fail; only an absent text says nothing, and the pattern sees to that.
    return exp.Coalesce(this=since, expressions=[exp.false()])


def _sign(column: exp.Column, signs: str, place: int) -> exp.Condition:
    """The value of the character at a place from 0; nonsense where the pattern does not match."""
    one = _part(column, place + 1, 1)
    if signs[:10] == "0123456789" and signs[10:] == "X":
        # Digits by their code, which costs less; X is ten.
        code = exp.Unicode(this=one) - 48
        return exp.Paren(
            this=exp.Case(ifs=[exp.If(this=one.eq(_text("X")), true=exp.convert(10))], default=code)
        )
    return exp.Paren(this=exp.StrPosition(this=_text(signs), substr=one) - 1)


def _part(column: exp.Column, start: int, length: int) -> exp.Condition:
    return exp.Substring(this=column.copy(), start=exp.convert(start), length=exp.convert(length))


def _sum(terms: Iterable[exp.Expr]) -> exp.Condition:
    total: exp.Condition | None = None
    for term in terms:
        total = exp.Paren(this=term) if total is None else exp.Add(this=total, expression=term)
    assert total is not None, "a sum has terms"
    return exp.Paren(this=total)


def _text(value: str) -> exp.Expr:
    return literal(value, FieldType.STRING)


_MORE: Final[dict[TextFormat, Callable[[exp.Column], exp.Expr]]] = {
    TextFormat.RESIDENT_ID: _resident_id,
    TextFormat.SOCIAL_CREDIT_CODE: _social_credit_code,
    TextFormat.ORGANISATION_CODE: _organisation_code,
    TextFormat.DATE: _date,
    TextFormat.TIMESTAMP: _date,
}
