"""Quotas per client and the headers that tell of them (draft-ietf-httpapi-ratelimit-headers-10)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from plaza_gateway.door.buckets import Buckets, Budget, Clock, Level
from plaza_gateway.door.callers import Callers, Payer
from plaza_gateway.door.visits import Visit
from plaza_gateway.transcode.problems import Problem

MOST_BUCKETS = 50_000
"""Callers held for each budget; about 15 MB when all are there."""


@dataclass(frozen=True, slots=True)
class Budgets:
    """How much a client may ask of one process."""

    anonymous: Budget
    """By address: API requests without a proven token."""
    signed_in: Budget
    """By person or machine: API requests."""
    uploads: Budget
    """By client, beside the first two: files in."""
    open_rows: Budget
    """By address, beside the first: rows and files that are read without a proven token."""
    pages: Budget
    """By address: pages of portal and console."""

    @classmethod
    def of(
        cls,
        *,
        anonymous_per_minute: int,
        signed_in_per_minute: int,
        uploads_per_minute: int,
        open_rows_per_day: int,
        pages_per_minute: int,
    ) -> Budgets:
        """Budgets with the names that the headers tell."""
        return cls(
            Budget("anonymous", anonymous_per_minute, 60),
            Budget("signed-in", signed_in_per_minute, 60),
            Budget("uploads", uploads_per_minute, 60),
            Budget("open-rows", open_rows_per_day, 24 * 3600),
            Budget("pages", pages_per_minute, 60),
        )


class Quotas:
    """Takes from the buckets that a request is paid from: from all of them, or from none."""

    def __init__(self, budgets: Budgets, clock: Clock) -> None:
        self.callers = Callers(clock)
        self._anonymous = Buckets(budgets.anonymous, clock, MOST_BUCKETS)
        self._signed_in = Buckets(budgets.signed_in, clock, MOST_BUCKETS)
        self._uploads = Buckets(budgets.uploads, clock, MOST_BUCKETS)
        self._open_rows = Buckets(budgets.open_rows, clock, MOST_BUCKETS)
        self._pages = Buckets(budgets.pages, clock, MOST_BUCKETS)

    def admit(self, visit: Visit, method: str, headers: Mapping[str, str], address: str) -> dict[str, str]:
        """The headers of the answer. Raises Problem (429) when a quota is used up: nothing is taken then."""
        if visit.kind == "free":
            return {}
        payer = self.callers.payer(headers, address)
        asked = self._asked(visit, method, payer)
        before = [each.level(payer.key) for each in asked]
        empty = [level for level in before if level.remaining < 1]
        if empty:
            raise _used_up(empty, payer, fields(before))
        left = [each.take(payer.key) for each in asked]
        return {} if visit.kind == "page" else fields(left)

    def _asked(self, visit: Visit, method: str, payer: Payer) -> list[Buckets]:
        if visit.kind == "page":
            return [self._pages]
        asked = [self._signed_in if payer.known else self._anonymous]
        if visit.kind == "upload" and method == "POST":
            asked.append(self._uploads)
        if visit.kind == "rows" and method == "GET" and not payer.known:
            asked.append(self._open_rows)
        return asked


def fields(levels: Sequence[Level]) -> dict[str, str]:
    """`RateLimit-Policy` and `RateLimit`: lists of items with parameters (RFC 9651). `q`: the quota, `w`: its
    window in seconds, `r`: what is left, `t`: seconds until all of it is there again."""
    return {
        "RateLimit-Policy": ", ".join(
            f'"{each.budget.name}";q={each.budget.quota};w={each.budget.window_seconds}' for each in levels
        ),
        "RateLimit": ", ".join(
            f'"{each.budget.name}";r={each.remaining};t={math.ceil(each.full_in)}' for each in levels
        ),
    }


def _used_up(empty: Sequence[Level], payer: Payer, headers: Mapping[str, str]) -> Problem:
    last = max(empty, key=lambda each: each.next_in)
    wait = max(1, math.ceil(last.next_in))
    budget = last.budget
    whose = "this caller" if payer.known else "this address"
    return Problem(
        429,
        "QUOTA_USED_UP",
        f"{whose} has used up the quota {budget.name}: {budget.quota} requests in {budget.window_seconds} seconds",
        remedy=f"Ask again in {wait} seconds, and then no faster than the header RateLimit allows."
        + ("" if payer.known else " Who is signed in has a quota of their own."),
        facts={
            "policy": budget.name,
            "quota": str(budget.quota),
            "window_seconds": str(budget.window_seconds),
        },
        headers={**headers, "Retry-After": str(wait)},
    )
