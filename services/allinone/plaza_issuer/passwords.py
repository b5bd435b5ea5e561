"""Passwords of demo people, and the brake on guessing them (Keycloak's brute-force rule)."""

from __future__ import annotations

import hmac
import math

from plaza_kit.errors import ResourceExhausted, Unauthenticated

from .model import Account, Lockout, Realm
from .standing import open_account
from .store import Store


class WrongPassword(Unauthenticated):
    """Log-in name and password do not match; which of the two is wrong is not said."""


class LockedOut(ResourceExhausted):
    """Too many wrong passwords for this log-in name."""

    def __init__(self, seconds: int) -> None:
        super().__init__(
            f"Too many wrong passwords for this log-in name; it opens again in {seconds} s.",
            remedy="Wait, then try again.",
            facts={"retry_seconds": str(seconds)},
        )
        self.seconds = seconds


def lockout_seconds(failures: int, rule: Lockout) -> int:
    """How long the door stays shut after so many failures in a row; longer with every further round."""
    if failures < rule.failures:
        return 0
    return min(rule.wait_step * (failures // rule.failures), rule.wait_max)


def check_password(realm: Realm, store: Store, username: str, password: str, now: float) -> Account:
    """The account of that name. Raises WrongPassword, or LockedOut without looking at the password.

    Names that do not exist are counted and shut like the others, so that an answer does not tell which exist.
    """
    name = username.strip().lower()
    failures, last_at = store.password_failures(name)
    if now - last_at > realm.lockout.forget_after:
        failures = 0
    open_at = last_at + lockout_seconds(failures, realm.lockout)
    if now < open_at:
        raise LockedOut(math.ceil(open_at - now))
    known = realm.by_username.get(name)
    account = open_account(realm, store, known.id) if known is not None else None
    stored = account.password if account is not None else None
    same = hmac.compare_digest(password.encode(), (stored or "").encode())
    if account is None or stored is None or not same:
        store.set_password_failures(name, failures + 1, now, now - realm.lockout.forget_after)
        raise WrongPassword("Log-in name and password do not match.", remedy="Check both and try again.")
    store.clear_password_failures(name)
    return account
