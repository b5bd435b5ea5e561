"""How the values of a column are spread, under a grant."""

from __future__ import annotations

from collections.abc import Sequence

from plaza_kit.grants import GrantVerifier
from sqlglot import exp

from plaza_lake import engine
from plaza_lake.access import Access, open_grant
from plaza_lake.ir import Scalar
from plaza_lake.judgements import scanned
from plaza_lake.render import DIALECT, column
from plaza_lake.tables import Lake


def quantiles(
    lake: Lake, verifier: GrantVerifier, grant_token: str, name: str, shares: Sequence[float]
) -> tuple[Scalar, ...]:
    """For each share (0 to 1) the smallest value that is not below so many of the present ones; nothing without any.

    Blocking. Raises as `read_rows`.
    """
    access = _opened(lake, verifier, grant_token, name)
    listed = exp.array(*(exp.Literal.number(share) for share in shares), dialect=DIALECT)
    found = exp.Anonymous(this="quantile_disc", expressions=[column(name), listed])
    [row] = engine.rows(lake, _over(access, exp.alias_(found, "found")), access.paths)
    values = row["found"]
    return tuple(values) if isinstance(values, list) else ()


def frequent(
    lake: Lake, verifier: GrantVerifier, grant_token: str, name: str, limit: int
) -> tuple[tuple[Scalar, int], ...]:
    """The most frequent present values with their numbers of rows, the first of equally frequent ones by order.

    Blocking. Raises as `read_rows`.
    """
    access = _opened(lake, verifier, grant_token, name)
    counted = exp.alias_(exp.Count(this=exp.Star()), "n")
    select = (
        _over(access, exp.alias_(column(name), "v"), counted)
        .where(exp.Not(this=exp.Is(this=column(name), expression=exp.null())))
        .group_by(column(name))
        .order_by(exp.Ordered(this=exp.column("n"), desc=True), exp.Ordered(this=exp.column("v")))
        .limit(limit)
    )
    return tuple((row["v"], row["n"]) for row in engine.rows(lake, select, access.paths))  # type: ignore[misc]  # of the column's type


def _opened(lake: Lake, verifier: GrantVerifier, token: str, name: str) -> Access:
    access = open_grant(lake, verifier, token)
    access.check_names((name,))
    return access


def _over(access: Access, *items: exp.Expr) -> exp.Select:
    return exp.select(*items).from_(scanned(access, positions=False).subquery("_r"))
