"""Pages without OFFSET: the condition for the rows behind a position in an order."""

from __future__ import annotations

from plaza_lake.ir import (
    And,
    ColumnRef,
    Compare,
    Expr,
    IsNull,
    Literal,
    Not,
    Op,
    Scalar,
    conjunction,
    disjunction,
)


def after_position(order: tuple[tuple[str, bool], ...], position: tuple[Scalar | None, ...]) -> Expr:
    """True for rows that sort behind the position; absent values sort last in both directions.

    A row is behind if it is equal in the first i columns and behind in the next, for some i.
    """
    cases: list[Expr | None] = []
    equal: list[Expr] = []
    for (name, descending), value in zip(order, position, strict=True):
        column = ColumnRef(name)
        if value is None:
            equal.append(IsNull(column))
            continue  # nothing sorts behind an absent value
        behind = Compare(Op.LT if descending else Op.GT, column, Literal(value))
        cases.append(conjunction(*equal, disjunction(behind, IsNull(column))))
        equal.append(Compare(Op.EQ, column, Literal(value)))
    found = disjunction(*cases)
    if found is not None:
        return found
    last = IsNull(ColumnRef(order[0][0]))
    return And((last, Not(last)))  # every value was absent: this was the last position there is
