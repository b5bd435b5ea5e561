"""Filters as text: a subset of AIP-160, with every error at its place.

    station = "东城" AND (pm2_5 > 35 OR pm2_5 = null) AND NOT wd:"N" AND time >= "2013-03-01T00:00:00Z"

- `field OP value` with `= != < <= > >=`; `field:"text"` (contains); `field = null`, `field != null`;
  `field = ("a" OR "b")` (one of them); `AND`, `OR`, `NOT` or `-`, parentheses.
- A value is read by the field's type. Quotes are needed for texts with spaces or signs; numbers, `true`,
  `false` and `null` are written without.
- AIP-160 lets OR bind more tightly than AND, against the habit of most readers: a mixture without
  parentheses is refused. Words beside each other without an operator are refused too.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final, NoReturn

from plaza_kit.errors import FieldViolation, InvalidArgument

from plaza_lake.fields import Column, FieldType, TableSchema
from plaza_lake.ir import (
    And,
    ColumnRef,
    Compare,
    Contains,
    Expr,
    In,
    IsNull,
    Literal,
    Not,
    Op,
    Or,
    Scalar,
    UnknownField,
    fits,
)

MAX_LENGTH: Final = 100_000
"""Characters. Long enough for a list of some thousand codes."""
MAX_DEPTH: Final = 50
"""Of nested parentheses and NOTs."""

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
    r"""|(?P<op><=|>=|!=|=|<|>|:)|(?P<paren>[()])|(?P<minus>-(?=[^\W\d(]|\())|(?P<bare>[^\s"'()<>=!:]+))""",
    re.DOTALL,
)
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "'": "'"}
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)


class FilterSyntax(InvalidArgument):
    """The text of a filter cannot be read. `position` counts characters from 1."""

    def __init__(self, text: str, position: int, problem: str, remedy: str) -> None:
        near = text[max(0, position - 1) : position + 19]
        super().__init__(
            f"filter, character {position} ({near!r}): {problem}"
            if near
            else f"filter, at its end: {problem}",
            remedy=remedy,
            facts={"position": str(position)},
            violations=(FieldViolation("filter", f"character {position}: {problem}"),),
        )
        self.position = position


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int


def parse_filter(text: str, schema: TableSchema) -> Expr | None:
    """The filter as IR, typed by `schema`; None for an empty text.

    Raises `FilterSyntax` naming the position, or `UnknownField`.
    """
    if len(text) > MAX_LENGTH:
        raise FilterSyntax(
            text, MAX_LENGTH, f"longer than {MAX_LENGTH} characters", "Ask in several queries."
        )
    parser = _Parser(text, _tokens(text), schema)
    return parser.whole() if text.strip() else None


def _tokens(text: str) -> list[_Token]:
    tokens = []
    at = 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            place = at + len(text[at:]) - len(text[at:].lstrip())
            problem = "a quotation mark is not closed" if text[place] in "\"'" else "this sign means nothing"
            raise FilterSyntax(text, place + 1, problem, 'Put texts in quotes: field = "a text".')
        kind = str(match.lastgroup)
        tokens.append(_Token(kind, match[kind], match.start(kind)))
        at = match.end()
    return tokens


class _Parser:
    def __init__(self, text: str, tokens: list[_Token], schema: TableSchema) -> None:
        self._text = text
        self._tokens = tokens
        self._schema = schema
        self._next = 0
        self._depth = 0

    def whole(self) -> Expr:
        found = self._expression()
        if self._peek() is not None:
            self._fail("expected AND or OR here", "Join two conditions with AND or OR.")
        return found

    def _peek(self, text: str | None = None) -> _Token | None:
        token = self._tokens[self._next] if self._next < len(self._tokens) else None
        if text is None or token is None:
            return token
        return token if token.kind != "quoted" and token.text == text else None

    def _take(self, text: str) -> bool:
        found = self._peek(text) is not None
        self._next += found
        return found

    def _fail(self, problem: str, remedy: str, token: _Token | None = None) -> NoReturn:
        token = token or self._peek()
        raise FilterSyntax(self._text, token.start + 1 if token else len(self._text) + 1, problem, remedy)

    def _expression(self) -> Expr:
        operands = [self._term()]
        joined = ""
        while (token := self._peek("AND") or self._peek("OR")) is not None:
            if joined and token.text != joined:
                self._fail("AND and OR are mixed", "Add parentheses: a AND (b OR c).")
            joined = token.text
            self._next += 1
            operands.append(self._term())
        if not joined:
            return operands[0]
        return And(tuple(operands)) if joined == "AND" else Or(tuple(operands))

    def _term(self) -> Expr:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._fail(f"nested more than {MAX_DEPTH} deep", "Write a flatter filter.")
        if self._take("NOT") or self._take("-"):
            found: Expr = Not(self._term())
        elif self._take("("):
            found = self._expression()
            if not self._take(")"):
                self._fail("a parenthesis is not closed", "Add ')'.")
        else:
            found = self._restriction()
        self._depth -= 1
        return found

    def _restriction(self) -> Expr:
        token = self._peek()
        if token is None or token.kind != "bare" or token.text in ("AND", "OR"):
            self._fail("expected a field name", f"Begin with one of: {', '.join(self._schema.names)}.")
        column = self._schema.column(token.text)
        if column is None:
            raise UnknownField(token.text, self._schema.names)
        self._next += 1
        operator = self._peek()
        if operator is None or operator.kind != "op":
            self._fail(
                f"expected an operator after {token.text}", "Use one of = != < <= > >= or : (contains)."
            )
        self._next += 1
        ref = ColumnRef(column.name)
        if operator.text == ":":
            return self._contains(column)
        op = Op(operator.text)
        if self._peek("null"):
            if op not in (Op.EQ, Op.NE):
                self._fail("null has no order", "Use = null or != null.")
            self._next += 1
            return IsNull(ref) if op is Op.EQ else Not(IsNull(ref))
        if column.type is FieldType.BOOLEAN and op not in (Op.EQ, Op.NE):
            self._fail(f"{column.name} is boolean and has no order", "Use = or !=.", operator)
        if self._peek("("):
            if op is not Op.EQ:
                self._fail("a list goes with = only", 'Write NOT field = ("a" OR "b").')
            return In(ref, self._list(column))
        return Compare(op, ref, self._value(column))

    def _contains(self, column: Column) -> Expr:
        if column.type is not FieldType.STRING:
            self._fail(f"{column.name} is {column.type}; only a string contains text", "Use = < > instead.")
        value = self._value(column).value
        assert isinstance(value, str)
        return Contains(ColumnRef(column.name), value)

    def _list(self, column: Column) -> tuple[Literal, ...]:
        self._next += 1
        values = [self._value(column)]
        while self._take("OR"):
            values.append(self._value(column))
        if not self._take(")"):
            self._fail("the list is not closed", 'Write field = ("a" OR "b").')
        return tuple(values)

    def _value(self, column: Column) -> Literal:
        token = self._peek()
        expected = _EXPECTED[column.type]
        if token is None or token.kind not in ("bare", "quoted") or self._peek("AND") or self._peek("OR"):
            self._fail(f"expected a value for {column.name}", f"Write {expected}.")
        quoted = token.kind == "quoted"
        value = _coerce(_unquote(token.text) if quoted else token.text, column.type, quoted)
        if value is None or not fits(column.type, value):
            self._fail(f"{column.name} is {column.type}, this is not", f"Write {expected}.")
        self._next += 1
        return Literal(value)


_EXPECTED: Final = {
    FieldType.STRING: 'a text: "东城"',
    FieldType.INTEGER: "a whole number without quotes: 42",
    FieldType.NUMBER: "a number without quotes: 3.5",
    FieldType.BOOLEAN: "true or false without quotes",
    FieldType.DATE: 'a date: "2013-03-01"',
    FieldType.TIMESTAMP: 'an instant with its zone: "2013-03-01T00:00:00Z"',
    FieldType.BYTES: "null; bytes are not compared",
}


def _unquote(token: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), token[1:-1], flags=re.DOTALL)


def _coerce(text: str, field_type: FieldType, quoted: bool) -> Scalar | None:
    """The value that the text says in this type, or None. Numbers and booleans in quotes are texts."""
    match field_type:
        case FieldType.STRING:
            return text
        case FieldType.INTEGER:
            return int(text) if not quoted and re.fullmatch(r"-?[0-9]{1,19}", text) else None
        case FieldType.NUMBER:
            if quoted or not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", text):
                return None
            return float(text) if math.isfinite(float(text)) else None
        case FieldType.BOOLEAN:
            return {"true": True, "false": False}.get(text) if not quoted else None
        case FieldType.DATE:
            return _date(text)
        case FieldType.TIMESTAMP:
            return _instant(text)
        case FieldType.BYTES:
            return None


def scalar_of(text: str, field_type: FieldType) -> Scalar | None:
    """The value that a text stands for in a column of this type, as filters write it but without quotes; None if it
    is none."""
    quoted = field_type not in (FieldType.INTEGER, FieldType.NUMBER, FieldType.BOOLEAN)
    value = _coerce(text, field_type, quoted)
    return value if value is not None and fits(field_type, value) else None


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII) else None
    except ValueError:
        return None


def _instant(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC) if _INSTANT.fullmatch(text) else None
    except (ValueError, OverflowError):
        return None


def print_filter(expr: Expr) -> str:
    """The expression as text; `parse_filter` gives the same expression back.

    Raises `ValueError` for a number that is not finite: the text has no word for it.
    """
    match expr:
        case Compare(op, column, value):
            return f"{column.name} {op} {_printed(value.value)}"
        case In(column, values):
            return f"{column.name} = ({' OR '.join(_printed(value.value) for value in values)})"
        case IsNull(column):
            return f"{column.name} = null"
        case Contains(column, text):
            return f"{column.name}:{_printed(text)}"
        case Not(IsNull(column)):
            return f"{column.name} != null"
        case Not(operand):
            return f"NOT {_nested(operand)}"
        case And(operands):
            return " AND ".join(_nested(operand) for operand in operands)
        case Or(operands):
            return " OR ".join(_nested(operand) for operand in operands)


def _nested(expr: Expr) -> str:
    return f"({print_filter(expr)})" if isinstance(expr, And | Or) else print_filter(expr)


def _printed(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} has no text in a filter")
        return repr(value)
    if isinstance(value, datetime):
        return f'"{value.astimezone(UTC).isoformat().removesuffix("+00:00")}Z"'
    if isinstance(value, date):
        return f'"{value.isoformat()}"'
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
