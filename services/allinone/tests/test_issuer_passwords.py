"""Guessing passwords: ten wrong ones shut the name for a while, known or not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza_issuer.model import Lockout
from plaza_issuer.passwords import LockedOut, WrongPassword, check_password, lockout_seconds
from plaza_issuer.realm import load_realm, required_variables
from plaza_issuer.store import Store

REALM = load_realm(environ=dict.fromkeys(required_variables(), "x"))
RULE = Lockout(failures=10, wait_step=60, wait_max=300, forget_after=43200)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path)
    yield opened
    opened.close()


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_more_failures_never_open_earlier(a: int, b: int) -> None:
    low, high = sorted((a, b))
    assert lockout_seconds(low, RULE) <= lockout_seconds(high, RULE) <= RULE.wait_max
    assert (lockout_seconds(low, RULE) > 0) == (low >= 10)


def fail(store: Store, username: str, times: int, now: float) -> None:
    for _ in range(times):
        with pytest.raises(WrongPassword):
            check_password(REALM, store, username, "guess", now)


def test_the_right_password_opens_and_forgets_the_failures(store: Store) -> None:
    fail(store, "ecology-officer", 9, 1000.0)
    assert (
        check_password(REALM, store, " Ecology-Officer ", "plaza-demo", 1000.0).username == "ecology-officer"
    )
    fail(store, "ecology-officer", 9, 1000.0)


@pytest.mark.parametrize("username", ["ecology-officer", "no-such-person", "service-account-plaza-gateway"])
def test_ten_wrong_ones_shut_the_name_for_a_minute(store: Store, username: str) -> None:
    fail(store, username, 10, 1000.0)
    with pytest.raises(LockedOut) as locked:
        check_password(REALM, store, username, "plaza-demo", 1000.5)
    assert locked.value.seconds == 60
    with pytest.raises(LockedOut):
        check_password(REALM, store, username, "guess", 1059.9)
    fail(store, username, 1, 1060.0)


def test_another_name_stays_open(store: Store) -> None:
    fail(store, "ecology-officer", 10, 1000.0)
    assert check_password(REALM, store, "ecology-reader", "plaza-demo", 1000.0)


def test_the_lock_survives_a_restart(tmp_path: Path) -> None:
    first = Store(tmp_path)
    fail(first, "ecology-officer", 10, 1000.0)
    first.close()
    second = Store(tmp_path)
    with pytest.raises(LockedOut):
        check_password(REALM, second, "ecology-officer", "plaza-demo", 1001.0)
    second.close()


def test_old_failures_are_forgotten(store: Store) -> None:
    fail(store, "ecology-officer", 9, 1000.0)
    fail(store, "ecology-officer", 9, 1000.0 + 43201)


def test_the_account_behind_a_client_has_no_password(store: Store) -> None:
    for password in ("", "x", "plaza-demo"):
        with pytest.raises(WrongPassword):
            check_password(REALM, store, "service-account-ecology-worker", password, 1000.0)
