"""Quotas as arithmetic: never more than promised, nobody at the cost of somebody else, memory with a bound."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza_gateway.door.buckets import Buckets, Budget
from plaza_gateway.door.callers import MOST_PROVEN, PROVEN_SECONDS, Callers, address_key
from plaza_gateway.door.quotas import Budgets, Quotas, fields
from plaza_gateway.door.visits import Visit
from plaza_gateway.transcode import Problem

CALL = Visit("call", "internal", frozenset(), demands_caller=True)
UPLOAD = Visit("upload", "internal", frozenset(), demands_caller=True)
FILES = Visit("rows", "public", frozenset({"GET"}), demands_caller=False)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def token(
    subject: str, *, issuer: str = "https://id.test", expiry: float = 2e9, salt: str = ""
) -> dict[str, str]:
    claims = json.dumps({"iss": issuer, "sub": subject, "exp": expiry, "jti": salt}).encode()
    return {"authorization": f"Bearer h.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.s"}


def quotas(clock: Clock, **more: Any) -> Quotas:
    given_ = {"anonymous": 3, "signed_in": 5, "uploads": 2, "pages": 4} | more
    budgets = {f"{name}_per_minute": quota for name, quota in given_.items() if name != "open_rows"}
    return Quotas(Budgets.of(**budgets, open_rows_per_day=more.get("open_rows", 2)), clock)


def let_in(door: Quotas, visit: Visit, headers: dict[str, str], address: str, method: str = "GET") -> bool:
    try:
        door.admit(visit, method, headers, address)
    except Problem:
        return False
    return True


@given(
    quota=st.integers(1, 50),
    window=st.integers(1, 3600),
    steps=st.lists(st.tuples(st.floats(0, 500), st.sampled_from("ab")), max_size=300),
)
def test_in_no_time_more_than_rate_and_burst(quota: int, window: int, steps: list[tuple[float, str]]) -> None:
    clock = Clock()
    buckets = Buckets(Budget("b", quota, window), clock, most=10)
    let: dict[str, list[float]] = {"a": [], "b": []}
    for wait, caller in steps:
        clock.now += wait
        level = buckets.level(caller)
        assert 0 <= level.remaining <= quota
        if level.remaining:
            assert level.next_in == 0
            buckets.take(caller)
            let[caller].append(clock.now)
            assert buckets.level(caller).remaining == level.remaining - 1
        else:
            assert 0 < level.next_in <= window / quota * 1.001
    for times in let.values():
        for first, start in enumerate(times):
            for last in range(first, len(times)):
                promised = quota + (times[last] - start) * quota / window
                assert last - first + 1 <= promised + 1e-6


@given(st.lists(st.sampled_from(["greedy", "modest"]), max_size=200))
def test_a_greedy_caller_takes_nothing_from_another(order: list[str]) -> None:
    buckets = Buckets(Budget("b", 5, 60), Clock(), most=10)
    let = {"greedy": 0, "modest": 0}
    for caller in order:
        if buckets.level(caller).remaining:
            buckets.take(caller)
            let[caller] += 1
    for caller, count in let.items():
        assert count == min(5, order.count(caller))


def test_after_the_time_that_was_told_one_more_is_let_in() -> None:
    clock = Clock()
    buckets = Buckets(Budget("b", 2, 60), clock, most=10)
    buckets.take("a")
    buckets.take("a")
    level = buckets.level("a")
    assert (level.remaining, level.next_in, level.full_in) == (0, 30, 60)
    clock.now += 30
    assert buckets.level("a").remaining == 1


def test_memory_has_a_bound_and_the_quiet_go_first() -> None:
    buckets = Buckets(Budget("b", 2, 60), Clock(), most=3)
    for caller in ("a", "b", "c", "a", "d"):
        buckets.take(caller)
    assert len(buckets) == 3
    assert buckets.level("b").remaining == 2, "gone, which is a full one"
    assert buckets.level("a").remaining == 0


def test_a_made_up_token_is_paid_by_the_address() -> None:
    """Neither a bucket for each, nor the bucket of whom it names."""
    clock = Clock()
    door = quotas(clock)
    mayor = token("mayor")
    door.callers.proven(mayor)
    assert [let_in(door, CALL, token("mayor", salt=str(n)), "192.0.2.1") for n in range(5)] == [True] * 3 + [
        False
    ] * 2
    assert [let_in(door, CALL, mayor, "198.51.100.7") for _ in range(6)] == [True] * 5 + [False]


def test_all_tokens_of_a_person_have_one_bucket() -> None:
    door = quotas(Clock())
    for salt in "ab":
        door.callers.proven(token("officer", salt=salt))
    let = [let_in(door, CALL, token("officer", salt="ab"[n % 2]), f"192.0.2.{n}") for n in range(7)]
    assert let.count(True) == 5
    door.callers.proven(token("officer", issuer="https://other.test"))
    assert let_in(door, CALL, token("officer", issuer="https://other.test"), "192.0.2.9")


def test_a_proof_runs_out() -> None:
    clock = Clock()
    callers = Callers(clock, wall=lambda: 1_000_000.0)
    long, short = token("a"), token("b", expiry=1_000_030.0)
    callers.proven(long)
    callers.proven(short)
    assert callers.payer(short, "192.0.2.1").known
    clock.now += 31
    assert not callers.payer(short, "192.0.2.1").known
    assert callers.payer(long, "192.0.2.1").known
    clock.now += PROVEN_SECONDS
    assert not callers.payer(long, "192.0.2.1").known


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Bearer",
        "Bearer x",
        "Bearer a.b.c",
        "Bearer a.W10.c",
        "Basic YTpi",
        "Bearer ä.ö.ü",
        "Bearer \ud800.a.a",
    ],
)
def test_what_is_no_token_proves_nothing(text: str) -> None:
    callers = Callers(Clock())
    headers = {"authorization": text}
    callers.proven(headers)
    assert not callers.payer(headers, "192.0.2.1").known


def test_proofs_have_a_bound() -> None:
    callers = Callers(Clock())
    for number in range(MOST_PROVEN + 1):
        callers.proven(token(str(number)))
    assert not callers.payer(token("0"), "").known
    assert callers.payer(token("1"), "").known


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("testclient", "", False),
    ],
)
def test_addresses(one: str, other: str, same: bool) -> None:
    assert (address_key(one) == address_key(other)) is same


def test_files_cost_of_the_day_too_and_all_or_nothing() -> None:
    clock = Clock()
    door = quotas(clock)
    assert [let_in(door, FILES, {}, "192.0.2.1") for _ in range(3)] == [True, True, False]
    # The refused one cost nothing of the minute.
    assert let_in(door, CALL, {}, "192.0.2.1")
    assert not let_in(door, CALL, {}, "192.0.2.1")
    clock.now += 60
    assert not let_in(door, FILES, {}, "192.0.2.1"), "a day is longer"
    assert let_in(door, FILES, {}, "192.0.2.1", "HEAD")
    clock.now += 24 * 3600
    assert let_in(door, FILES, {}, "192.0.2.1")


def test_uploads_have_a_budget_of_their_own() -> None:
    door = quotas(Clock())
    clerk = token("clerk")
    door.callers.proven(clerk)
    assert [let_in(door, UPLOAD, clerk, "", "POST") for _ in range(3)] == [True, True, False]
    assert let_in(door, CALL, clerk, "")


def test_the_headers_are_structured_fields() -> None:
    clock = Clock()
    told = quotas(clock).admit(FILES, "GET", {}, "192.0.2.1")
    assert told["RateLimit-Policy"] == '"anonymous";q=3;w=60, "open-rows";q=2;w=86400'
    assert told["RateLimit"] == '"anonymous";r=2;t=20, "open-rows";r=1;t=43200'
    assert fields([]) == {"RateLimit-Policy": "", "RateLimit": ""}


def test_a_refusal_says_which_quota_and_how_long() -> None:
    door = quotas(Clock(), anonymous=1)
    door.admit(CALL, "GET", {}, "192.0.2.1")
    with pytest.raises(Problem) as told:
        door.admit(CALL, "GET", {}, "192.0.2.1")
    problem = told.value
    assert (problem.status, problem.reason, problem.facts["policy"]) == (429, "QUOTA_USED_UP", "anonymous")
    assert problem.headers["Retry-After"] == "60"
    assert problem.headers["RateLimit"] == '"anonymous";r=0;t=60'
    assert "60 seconds" in problem.remedy
