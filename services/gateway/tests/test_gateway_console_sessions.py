"""A session's renewal: once, however many requests ask; its end; an issuer that is away."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from plaza_gateway.console.issuer import Pending, SessionEnded, Tokens
from plaza_gateway.console.sealing import Seal
from plaza_gateway.console.sessions import LOGIN_SECONDS, Session, Sessions
from plaza_kit.identity import IssuerUnavailable
from starlette.responses import Response


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class FakeIssuer:
    clock: Clock
    asked: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    away: bool = False

    async def refresh(self, token: str) -> Tokens:
        self.asked.append(token)
        await asyncio.sleep(0)
        if self.away:
            raise IssuerUnavailable("http://issuer.test", "away")
        if self.asked.count(token) > 1 or token == "revoked":
            raise SessionEnded
        return tokens(self.clock.now, f"{token}+")

    async def end(self, token: str) -> None:
        self.ended.append(token)


def tokens(now: float, refresh: str = "r") -> Tokens:
    return Tokens(f"access of {refresh}", now + 300, refresh, now + 43_200)


def kept(response: Response) -> dict[str, str]:
    lines = response.headers.getlist("set-cookie")
    return dict(line.partition(";")[0].split("=", 1) for line in lines if "Max-Age=0" not in line)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuer(clock: Clock) -> FakeIssuer:
    return FakeIssuer(clock)


@pytest.fixture
def sessions(clock: Clock, issuer: FakeIssuer) -> Sessions:
    return Sessions(Seal(bytes(32)), issuer, clock)  # type: ignore[arg-type]


def browser(sessions: Sessions, clock: Clock, refresh: str = "r") -> dict[str, str]:
    response = Response()
    session = Session.new(tokens(clock.now, refresh))
    sessions.write(response, session, {}, secure=False)
    return kept(response)


async def test_a_fresh_session_asks_nobody(sessions: Sessions, clock: Clock, issuer: FakeIssuer) -> None:
    held = await sessions.held(browser(sessions, clock), secure=False)
    assert held is not None
    assert not held.renewed
    assert issuer.asked == []
    assert await sessions.held({}, secure=False) is None


async def test_many_requests_at_once_renew_once(sessions: Sessions, clock: Clock, issuer: FakeIssuer) -> None:
    cookies = browser(sessions, clock)
    clock.now += 290
    held = await asyncio.gather(*(sessions.held(cookies, secure=False) for _ in range(20)))
    assert issuer.asked == ["r"]
    assert {h.session.tokens.refresh for h in held if h is not None} == {"r+"}
    # One that comes late with the old cookie does not spend the token a second time.
    late = await sessions.held(cookies, secure=False)
    assert late is not None
    assert late.renewed
    assert issuer.asked == ["r"]
    assert len({h.session.csrf for h in (*held, late) if h is not None}) == 1


async def test_what_another_replica_has_spent_logs_nobody_out_before_its_answer_is_there(
    sessions: Sessions, clock: Clock, issuer: FakeIssuer
) -> None:
    cookies = browser(sessions, clock)
    clock.now += 290
    await Sessions(Seal(bytes(32)), issuer, clock).held(cookies, secure=False)  # type: ignore[arg-type]
    held = await sessions.held(cookies, secure=False)
    assert held is not None
    assert not held.renewed
    clock.now += 10
    assert await sessions.held(cookies, secure=False) is None


async def test_it_ends_with_the_refresh_token(sessions: Sessions, clock: Clock) -> None:
    cookies = browser(sessions, clock)
    clock.now += 43_200
    assert await sessions.held(cookies, secure=False) is None
    revoked = browser(sessions, clock, "revoked")
    clock.now += 300
    assert await sessions.held(revoked, secure=False) is None


async def test_an_issuer_that_is_away_logs_nobody_out(
    sessions: Sessions, clock: Clock, issuer: FakeIssuer
) -> None:
    cookies = browser(sessions, clock)
    issuer.away = True
    clock.now += 280
    held = await sessions.held(cookies, secure=False)
    assert held is not None
    assert not held.renewed
    clock.now += 30
    with pytest.raises(IssuerUnavailable):
        await sessions.held(cookies, secure=False)


async def test_the_end_reaches_the_newest_token(sessions: Sessions, clock: Clock, issuer: FakeIssuer) -> None:
    cookies = browser(sessions, clock)
    held = await sessions.held(cookies, secure=False)
    assert held is not None
    clock.now += 290
    await sessions.held(cookies, secure=False)
    await sessions.end(held.session)
    assert issuer.ended == ["r+"]


def test_a_log_in_belongs_to_its_browser_and_its_state(sessions: Sessions, clock: Clock) -> None:
    response, pending = Response(), Pending.new("/console/datasets")
    sessions.begin(response, pending, {}, secure=False)
    assert sessions.pending(kept(response), pending.state, secure=False) == pending
    assert sessions.pending(kept(response), "other", secure=False) is None
    assert sessions.pending({}, pending.state, secure=False) is None
    clock.now += LOGIN_SECONDS
    assert sessions.pending(kept(response), pending.state, secure=False) is None
