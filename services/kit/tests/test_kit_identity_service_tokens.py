"""A service's own token: cached, renewed early, one request at a time, and outliving an issuer's absence."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs

import httpx
import pytest
from plaza_kit.identity import ClientRefused, IssuerUnavailable, ServiceTokens

ISSUER = "https://id.city.example/realms/plaza"


class Issuer:
    """Counts the tokens that it gives; answers with `status` when that is not 200."""

    def __init__(self) -> None:
        self.given = 0
        self.status = 200
        self.last_form: dict[str, list[str]] = {}

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(
                200,
                json={"issuer": ISSUER, "jwks_uri": f"{ISSUER}/certs", "token_endpoint": f"{ISSUER}/token"},
            )
        self.last_form = parse_qs(request.content.decode())
        await asyncio.sleep(0.01)
        if self.status != 200:
            return httpx.Response(self.status, json={"error": "invalid_client"})
        self.given += 1
        return httpx.Response(200, json={"access_token": f"token-{self.given}", "expires_in": 300})


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def source(issuer: Issuer, clock: Clock | None = None) -> ServiceTokens:
    http = httpx.AsyncClient(transport=httpx.MockTransport(issuer))
    return ServiceTokens(ISSUER, "plaza-gateway", "s&cr=t 密", http=http, clock=clock or Clock())


async def test_one_token_serves_until_it_is_nearly_over() -> None:
    issuer, clock = Issuer(), Clock()
    tokens = source(issuer, clock)
    assert await tokens.token() == "token-1"
    clock.now += 239
    assert await tokens.token() == "token-1"
    clock.now += 1
    assert await tokens.token() == "token-2"
    assert issuer.last_form == {
        "grant_type": ["client_credentials"],
        "client_id": ["plaza-gateway"],
        "client_secret": ["s&cr=t 密"],
    }


async def test_many_callers_make_one_request_and_nobody_waits_for_an_early_renewal() -> None:
    issuer, clock = Issuer(), Clock()
    tokens = source(issuer, clock)
    assert set(await asyncio.gather(*(tokens.token() for _ in range(20)))) == {"token-1"}
    clock.now += 250
    renewing = asyncio.create_task(tokens.token())
    await asyncio.sleep(0)
    assert await asyncio.gather(*(tokens.token() for _ in range(20))) == ["token-1"] * 20
    assert await renewing == "token-2"
    assert issuer.given == 2


async def test_an_issuer_away_does_not_hurt_while_the_old_token_is_good() -> None:
    issuer, clock = Issuer(), Clock()
    tokens = source(issuer, clock)
    await tokens.token()
    issuer.status = 503
    clock.now += 250
    assert await tokens.token() == "token-1"
    clock.now += 40
    with pytest.raises(IssuerUnavailable):
        await tokens.token()
    issuer.status = 200
    assert await tokens.token() == "token-2"


async def test_a_wrong_secret_is_said_to_be_one() -> None:
    issuer = Issuer()
    issuer.status = 401
    with pytest.raises(ClientRefused, match="plaza-gateway") as refusal:
        await source(issuer).token()
    assert "s&cr" not in str(refusal.value)


async def test_a_cancelled_caller_does_not_block_the_next() -> None:
    tokens = source(Issuer())
    first = asyncio.create_task(tokens.token())
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await tokens.token() == "token-1"
