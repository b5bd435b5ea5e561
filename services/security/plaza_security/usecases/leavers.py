"""Whose accounts are closed: asked of the issuer every few seconds, for the bundle that all services follow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, Protocol

from plaza_kit import telemetry
from plaza_kit.errors import PlazaError

_log = telemetry.log("leavers")

ASK_SECONDS: Final = 5.0
_AGAIN_SECONDS: Final = 1.0
NEVER_SECONDS: Final = 1e9
"""The age of what was never heard."""


class Accounts(Protocol):
    """Of the issuer: `plaza_kit.identity.ClosedAccounts`."""

    async def look(self) -> frozenset[str]:
        """Subjects and clients whose accounts are closed. Raises a PlazaError."""
        ...


class Leavers:
    """What the issuer said last, and how long ago."""

    def __init__(self, accounts: Accounts, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds, only differences count."""
        self._accounts = accounts
        self._clock = clock
        self._asked_at: float | None = None
        self._closed: frozenset[str] = frozenset()

    def closed(self) -> frozenset[str]:
        """What was heard last stands while the issuer is away."""
        return self._closed

    def age(self) -> float:
        """Seconds since the question that was answered last."""
        return NEVER_SECONDS if self._asked_at is None else self._clock() - self._asked_at

    async def ask(self) -> None:
        """Once. Raises a PlazaError."""
        asked_at = self._clock()
        closed = await self._accounts.look()
        if closed - self._closed:
            _log.info("accounts closed", count=len(closed - self._closed))
        self._closed, self._asked_at = closed, asked_at
        telemetry.LEAVERS_HEARD.set_to_current_time()

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                await self.ask()
                pause = ASK_SECONDS
            except PlazaError as error:
                _log.warning("the issuer does not say whose accounts are closed", error=error.message)
                pause = _AGAIN_SECONDS
            await asyncio.sleep(pause)
