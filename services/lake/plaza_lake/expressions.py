"""Boolean SQL expressions that a department writes itself: read, limited by an allow-list, and given back as a tree.

What is not on the list is refused, whatever it is: the text itself is never handed on, only the tree of known nodes
over the table's own columns, written anew. So it cannot name a table, a file, a setting, a clock or the network, and
what it may take of time and memory is bounded by its size: no function of the list makes a text longer than its
arguments together, no pattern is taken from the data.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Final, NoReturn

import sqlglot
from plaza_kit.errors import FieldViolation, InvalidArgument
from sqlglot import exp
from sqlglot.errors import SqlglotError

from plaza_lake.expression_words import ALLOWED, FUNCTIONS, HIDDEN, PREDICATES, TYPES, UNITS
from plaza_lake.fields import FieldType, TableSchema

DIALECT: Final = "duckdb"
MAX_LENGTH: Final = 2000
"""Characters."""
MAX_TOKENS: Final = 400
MAX_DEPTH: Final = 16
"""Of nodes above each other, and of parentheses."""
MAX_TEXT: Final = 500
"""Characters of one text in quotes."""


class ExpressionRefused(InvalidArgument):
    """The text is not an expression of the allowed kind. `position` counts characters from 1; 0: the whole of it."""

    def __init__(self, position: int, problem: str, remedy: str) -> None:
        place = f"character {position}" if position else "as a whole"
        super().__init__(
            f"expression, {place}: {problem}",
            remedy=remedy,
            facts={"position": str(position)},
            violations=(FieldViolation("expression", f"{place}: {problem}"),),
        )
        self.position = position
        self.problem = problem


def parse_expression(text: str, schema: TableSchema) -> exp.Expr:
    """A boolean expression over these columns: true, false or null for each row. Never an error while it runs: what
    cannot be reckoned for a row is null there.

    Raises `ExpressionRefused` with place and reason.
    """
    node = _parsed(text)
    checker = _Checker(text, schema)
    checker.check(node)
    return exp.Try(this=_rewritten(node))


def _parsed(text: str) -> exp.Expr:
    if not text.strip():
        _refuse(0, "it is empty", "Write a condition over the fields: pm2_5 >= 0 AND pm2_5 <= pm10.")
    if len(text) > MAX_LENGTH:
        _refuse(MAX_LENGTH, f"longer than {MAX_LENGTH} characters", "Make several rules of it.")
    try:
        tokens = sqlglot.tokenize(text, dialect=DIALECT)
        _check_tokens(text, tokens)
        statements = sqlglot.parse(text, dialect=DIALECT)
    except (SqlglotError, RecursionError) as error:
        problem = str(error).split("\n", 1)[0].split(" Line ", 1)[0].rstrip(". ")
        _refuse(
            0,
            f"it cannot be read: {problem or type(error).__name__}",
            "Write one condition, as behind WHERE.",
        )
    if len(statements) != 1 or statements[0] is None:
        _refuse(0, "it holds several statements", "Write one condition without semicolons.")
    return statements[0]


def _check_tokens(text: str, tokens: Sequence[sqlglot.Token]) -> None:
    """What a tree does not show, or must not be asked of the parser."""
    if len(tokens) > MAX_TOKENS:
        _refuse(
            tokens[MAX_TOKENS].start + 1,
            f"more than {MAX_TOKENS} words and signs",
            "Make several rules of it.",
        )
    depth = 0
    for token in tokens:
        if token.comments:
            _refuse(token.start + 1, "a comment", "Say in the rule's title what it means.")
        if token.text == ";" and token.token_type is sqlglot.TokenType.SEMICOLON:
            _refuse(token.start + 1, "a semicolon", "Write one condition.")
        depth += (token.token_type is sqlglot.TokenType.L_PAREN) - (
            token.token_type is sqlglot.TokenType.R_PAREN
        )
        if depth > MAX_DEPTH:
            _refuse(token.start + 1, f"nested more than {MAX_DEPTH} deep", "Write a flatter expression.")
    hidden = (
        at for at, sign in enumerate(text) if unicodedata.category(sign) in HIDDEN and sign not in "\t\r\n"
    )
    for at in hidden:
        _refuse(at + 1, f"the invisible character U+{ord(text[at]):04X}", "Leave it out.")


class _Checker:
    def __init__(self, text: str, schema: TableSchema) -> None:
        self._text = text
        self._schema = schema
        self._columns = 0

    def check(self, root: exp.Expr) -> None:
        for node, depth in _walk(root):
            if depth > MAX_DEPTH * 2:
                self._refuse(node, f"nested more than {MAX_DEPTH * 2} deep", "Write a flatter expression.")
            if type(node) not in ALLOWED:
                self._not_allowed(node)
            self._check_node(node)
        if not self._columns:
            self._refuse(root, "it names no field", f"Use one of: {', '.join(self._schema.names)}.")
        if not self._boolean(root):
            self._refuse(
                root, "it is no condition", "Compare it with something, so that it is true or false."
            )

    def _check_node(self, node: exp.Expr) -> None:
        match node:
            case exp.Column():
                self._column(node)
            case exp.Literal():
                if len(node.name) > (MAX_TEXT if node.is_string else 40):
                    self._refuse(
                        node, "a constant is too long", f"At most {MAX_TEXT} characters, 40 of a number."
                    )
            case exp.In():
                if node.args.get("query") or node.args.get("unnest") or node.args.get("field"):
                    self._refuse(node, "IN takes a list of values only", "Write field IN ('a', 'b').")
            case exp.DataType():
                if node.this not in TYPES or node.args.get("nested") or node.args.get("values"):
                    self._refuse(node, f"the type {_short(node)} is not allowed", _types())
            case exp.Var():
                if node.name.upper() not in UNITS:
                    self._refuse(
                        node, f"{node.name!r} is no unit of time", f"Use one of: {', '.join(sorted(UNITS))}."
                    )
            case exp.Like() | exp.ILike():
                self._like(node)
            case exp.RegexpLike() | exp.RegexpFullMatch():
                self._constant(node, node.expression, "the pattern")
            case exp.Replace():
                self._replace(node)

    def _column(self, node: exp.Column) -> None:
        identifier = node.this
        if len(node.parts) != 1 or not isinstance(identifier, exp.Identifier):
            self._refuse(node, f"{_short(node)} is not a field", "Name fields alone, without a table.")
        name = identifier.name if identifier.quoted else identifier.name.lower()
        if self._schema.column(name) is None:
            self._refuse(node, f"unknown field {name!r}", f"Use one of: {', '.join(self._schema.names)}.")
        self._columns += 1

    def _like(self, node: exp.Like | exp.ILike) -> None:
        pattern = self._constant(node, node.expression, "the pattern")
        # A blank for one character makes the engine try every place for every %.
        if len(pattern) > 100 or pattern.count("%") > (2 if "_" in pattern else 8):
            self._refuse(node, "the pattern has too many wildcards", "Use regexp_full_match.")

    def _replace(self, node: exp.Replace) -> None:
        old = self._constant(node, node.expression, "what is replaced")
        new = self._constant(node, node.args.get("replacement"), "what takes its place")
        if len(new.encode()) > len(old.encode()):
            self._refuse(node, "replace may not make a text longer", "Compare with the longer text instead.")

    def _constant(self, node: exp.Expr, value: object, what: str) -> str:
        if not isinstance(value, exp.Literal) or not value.is_string:
            self._refuse(
                node, f"{what} must be a text in quotes", "Write it out: regexp_full_match(code, '[A-Z]+')."
            )
        return value.name

    def _boolean(self, node: exp.Expr | None) -> bool:
        match node:
            case exp.Column():
                found = self._schema.column(node.name.lower()) or self._schema.column(node.name)
                return found is not None and found.type is FieldType.BOOLEAN
            case exp.Paren():
                return self._boolean(node.this)
            case exp.Cast() | exp.TryCast():
                return bool(node.to.this is exp.DType.BOOLEAN)
            case exp.Coalesce():
                return all(self._boolean(each) for each in (node.this, *node.expressions))
            case exp.Case():
                ends = [branch.args["true"] for branch in node.args["ifs"]] + [node.args.get("default")]
                return all(end is None or self._boolean(end) for end in ends)
            case exp.If():
                return all(
                    end is None or self._boolean(end) for end in (node.args["true"], node.args.get("false"))
                )
        return isinstance(node, (*PREDICATES, exp.Boolean, exp.Null))

    def _not_allowed(self, node: exp.Expr) -> NoReturn:
        match node:
            case exp.Query() | exp.Exists() | exp.Subquery():
                problem, remedy = "a query inside", "Use a rule of the kind referential for another dataset."
            case exp.Anonymous() | exp.Func():
                start, end = node.meta.get("start"), node.meta.get("end")
                called = node.sql_name() if start is None or end is None else self._text[start : end + 1]
                problem, remedy = (
                    f"the function {called.lower()} is not allowed",
                    f"Allowed are: {FUNCTIONS}.",
                )
            case _:
                problem = f"{node.key.upper()} is not allowed ({_short(node)})"
                remedy = (
                    "Use comparisons, AND OR NOT, IS NULL, IN, BETWEEN, LIKE, CASE, arithmetic and functions."
                )
        self._refuse(node, problem, remedy)

    def _refuse(self, node: exp.Expr, problem: str, remedy: str) -> NoReturn:
        starts = (each.meta.get("start") for each in node.walk())
        place = next((start for start in starts if start is not None), None)
        _refuse(0 if place is None else int(place) + 1, problem, remedy)


def _walk(root: exp.Expr) -> Iterator[tuple[exp.Expr, int]]:
    """Nodes with their depth; `a OR b OR c` is as deep as `a OR b`."""
    stack = [(root, 1)]
    while stack:
        node, depth = stack.pop()
        yield node, depth
        for child in node.iter_expressions(reverse=True):
            same = type(child) is type(node) and isinstance(child, exp.And | exp.Or)
            stack.append((child, depth + (not same)))


def _rewritten(root: exp.Expr) -> exp.Expr:
    """Columns quoted, casts that give null where they fail."""
    for identifier in list(root.find_all(exp.Identifier)):
        identifier.set("this", identifier.name if identifier.quoted else identifier.name.lower())
        identifier.set("quoted", True)
    whole = exp.Paren(this=root)  # so that the root has something that it can be replaced in
    for cast in [node for node in root.walk() if type(node) is exp.Cast]:
        cast.replace(exp.TryCast(this=cast.this, to=cast.to))
    return whole.unnest()


def _short(node: exp.Expr) -> str:
    text = node.sql(dialect=DIALECT, comments=False)
    return text if len(text) <= 40 else f"{text[:40]}…"


def _types() -> str:
    return f"Use one of: {', '.join(sorted(each.value for each in TYPES))}."


def _refuse(position: int, problem: str, remedy: str) -> NoReturn:
    raise ExpressionRefused(position, problem, remedy)
