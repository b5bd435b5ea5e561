"""Who is logged in: a sealed cookie, its renewal, its end. The gateway keeps no session of its own."""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace

from plaza_kit.identity import IssuerUnavailable
from starlette.responses import Response

from plaza_gateway.console import cookies
from plaza_gateway.console.issuer import Issuer, Pending, SessionEnded, Tokens
from plaza_gateway.console.sealing import Seal

SESSION = "plaza_session"
LOGIN = "plaza_login"
LOGIN_SECONDS = 600
"""How long a log-in may take."""
RENEW_BEFORE_SECONDS = 30.0
"""An access token that ends sooner is renewed first: the call it is for takes time too."""


@dataclass(frozen=True, slots=True)
class Session:
    """One person in one browser."""

    id: str
    csrf: str
    """The token that every form of this session carries."""
    tokens: Tokens

    @classmethod
    def new(cls, tokens: Tokens) -> Session:
        """A log-in has succeeded."""
        return cls(secrets.token_urlsafe(16), secrets.token_urlsafe(24), tokens)

    def trusts(self, form_token: str) -> bool:
        """Does the form come from a page of this session?"""
        return hmac.compare_digest(self.csrf.encode(), form_token.encode())


@dataclass(frozen=True, slots=True)
class Held:
    """A session, and whether the browser must be told anew."""

    session: Session
    renewed: bool = False


@dataclass(slots=True)
class _Renewal:
    """One at a time for a session; what came of it serves requests that were sent before it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    done: dict[str, Tokens] = field(default_factory=dict)
    """New tokens by the refresh token that was spent for them."""


class Sessions:
    """Reads, renews and writes sessions.

    A refresh token is good once, and its second use ends the session (RFC 9700, 4.14.2). Requests under way
    at the same time all carry the old one: the first spends it, the others get what it was spent for, from
    this process's memory, while the new access token lives. Another replica has no such memory: the realm lets the
    newest refresh token be spent a second time, and whoever comes too late goes on with the access token, which is
    renewed before it ends.
    """

    def __init__(self, seal: Seal, issuer: Issuer, clock: Callable[[], float] = time.time) -> None:
        self._seal = seal
        self._issuer = issuer
        self._clock = clock
        self._renewals: dict[str, _Renewal] = {}

    # A log-in under way

    def begin(
        self, response: Response, pending: Pending, present: Mapping[str, str], *, secure: bool
    ) -> None:
        """Keeps a log-in in the browser that began it."""
        sealed = self._seal.seal(LOGIN, asdict(pending), self._clock() + LOGIN_SECONDS)
        cookies.write(response, LOGIN, sealed, present, secure=secure, seconds=LOGIN_SECONDS)

    def pending(self, present: Mapping[str, str], state: str, *, secure: bool) -> Pending | None:
        """The log-in that this browser has begun with this state."""
        kept = self._seal.unseal(LOGIN, cookies.read(present, LOGIN, secure=secure), self._clock())
        pending = Pending(**kept) if kept is not None else None
        same = pending is not None and hmac.compare_digest(pending.state.encode(), state.encode())
        return pending if same else None

    # A session

    async def held(self, present: Mapping[str, str], *, secure: bool) -> Held | None:
        """The browser's session with an access token that is still good. None: nobody is logged in.

        Raises IssuerUnavailable when the token must be renewed and cannot be.
        """
        session = self._opened(cookies.read(present, SESSION, secure=secure))
        if session is None:
            return None
        if session.tokens.access_until - self._clock() > RENEW_BEFORE_SECONDS:
            return Held(session)
        return await self._renewed(session)

    def write(
        self, response: Response, session: Session, present: Mapping[str, str], *, secure: bool
    ) -> None:
        """Gives the browser the session; it ends with the refresh token."""
        until = session.tokens.refresh_until
        sealed = self._seal.seal(SESSION, asdict(session), until)
        seconds = max(int(until - self._clock()), 0)
        cookies.write(response, SESSION, sealed, present, secure=secure, seconds=seconds)
        cookies.clear(response, LOGIN, present, secure=secure)

    def clear(self, response: Response, present: Mapping[str, str], *, secure: bool) -> None:
        """Takes the session out of the browser."""
        cookies.clear(response, SESSION, present, secure=secure)

    async def end(self, session: Session) -> None:
        """Ends it at the issuer too. Raises IssuerUnavailable."""
        spent = self._renewals.pop(session.id, None)
        newest = spent.done.get(session.tokens.refresh) if spent is not None else None
        await self._issuer.end((newest or session.tokens).refresh)

    def _opened(self, text: str) -> Session | None:
        kept = self._seal.unseal(SESSION, text, self._clock()) if text else None
        if kept is None:
            return None
        return Session(str(kept["id"]), str(kept["csrf"]), Tokens(**kept["tokens"]))

    async def _renewed(self, session: Session) -> Held | None:
        self._forget_old()
        renewal = self._renewals.setdefault(session.id, _Renewal())
        async with renewal.lock:
            tokens = renewal.done.get(session.tokens.refresh)
            if tokens is None:
                try:
                    tokens = await self._issuer.refresh(session.tokens.refresh)
                except SessionEnded:
                    # Another replica may have spent it a moment ago, and its answer is on the way to the browser.
                    return Held(session) if self._lives(session) else None
                except IssuerUnavailable:
                    if self._lives(session):
                        return Held(session)
                    raise
                renewal.done[session.tokens.refresh] = tokens
        return Held(replace(session, tokens=tokens), renewed=True)

    def _lives(self, session: Session) -> bool:
        return session.tokens.access_until > self._clock()

    def _forget_old(self) -> None:
        now = self._clock()
        self._renewals = {
            name: renewal
            for name, renewal in self._renewals.items()
            if renewal.lock.locked() or any(t.access_until > now for t in renewal.done.values())
        }
