"""Which browser is which on the log-in page: a cookie, a hidden token in each form, who has logged in."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from .model import Account

COOKIE = "plaza_device"
LOGIN_SECONDS = 600.0
"""How long somebody who has given a password may take to allow or deny."""


@dataclass(frozen=True, slots=True)
class _Login:
    account: Account
    user_code: str
    until: float


class Browsers:
    """In memory on purpose: after a restart somebody in the middle of a log-in starts it again."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._logins: dict[str, _Login] = {}

    def new(self) -> str:
        """A cookie value for a browser that has none."""
        return secrets.token_urlsafe(32)

    def form_token(self, browser: str) -> str:
        """The hidden field that only a page of ours, shown to this very browser, can carry."""
        return hmac.new(self._secret, browser.encode(), hashlib.sha256).hexdigest()

    def trusts(self, browser: str | None, form_token: str) -> bool:
        """Does the form come from a page that we showed to this browser?"""
        return browser is not None and hmac.compare_digest(self.form_token(browser), form_token)

    def logged_in(self, account: Account, user_code: str) -> str:
        """Remembers a log-in for one code, under a new cookie value, which is returned.

        New, so that a value planted before the log-in is worth nothing after it.
        """
        now = self._clock()
        self._logins = {b: login for b, login in self._logins.items() if login.until > now}
        browser = self.new()
        self._logins[browser] = _Login(account, user_code, now + LOGIN_SECONDS)
        return browser

    def account(self, browser: str | None, user_code: str) -> Account | None:
        """Who has logged in with this browser for this code."""
        login = self._logins.get(browser) if browser is not None else None
        if login is None or login.user_code != user_code or login.until <= self._clock():
            return None
        return login.account

    def forget(self, browser: str) -> None:
        """The decision is made; the next one needs the password again."""
        self._logins.pop(browser, None)
