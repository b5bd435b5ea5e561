"""A token that was verified before: the same promise without the arithmetic."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from joserfc import jws
from joserfc.jwk import RSAKey
from plaza_kit.identity import BadToken, TokenExpired, TokenVerifier, verifier
from plaza_kit.identity.issuer_keys import REFRESH_SECONDS
from plaza_kit.recent import Recent

ISSUER = "https://id.city.example/realms/plaza"
NOW = 1_795_000_000.0
KEY = RSAKey.generate_key(2048, {"kid": "k", "use": "sig", "alg": "RS256"})
SUCCESSOR = RSAKey.generate_key(2048, {"kid": "k", "use": "sig", "alg": "RS256"})
OTHER = RSAKey.generate_key(2048, {"kid": "other", "use": "sig", "alg": "RS256"})


def token(key: RSAKey = KEY, **changes: Any) -> str:
    claims = {
        "exp": int(NOW) + 3600,
        "iss": ISSUER,
        "aud": "plaza",
        "sub": "8932b441",
        "typ": "Bearer",
        "azp": "plaza-cli",
        "preferred_username": "ecology-officer",
    }
    header = {"alg": "RS256", "kid": key.kid}
    return jws.serialize_compact(header, json.dumps(claims | changes), key, algorithms=["RS256"])


class World:
    """An issuer, a clock, and how many signatures were checked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = NOW
        self.keys = [KEY]
        self.checked = 0
        real = jws.deserialize_compact

        def counting(*arguments: Any, **named: Any) -> Any:
            self.checked += 1
            return real(*arguments, **named)

        monkeypatch.setattr(jws, "deserialize_compact", counting)

    def verifier(self, audience: str = "plaza") -> TokenVerifier:
        http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        return TokenVerifier(ISSUER, audience, http=http, clock=lambda: self.now, monotonic=lambda: self.now)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("openid-configuration"):
            places = {"jwks_uri": f"{ISSUER}/certs", "token_endpoint": f"{ISSUER}/token"}
            return httpx.Response(200, json={"issuer": ISSUER, **places})
        return httpx.Response(200, json={"keys": [key.as_dict(private=False) for key in self.keys]})


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


async def refused(verifier: TokenVerifier, text: str) -> str:
    with pytest.raises(BadToken) as refusal:
        await verifier.verify(text)
    return refusal.value.why


async def test_the_signature_of_a_token_is_checked_once(world: World) -> None:
    verifier, good = world.verifier(), token()
    first = await verifier.verify(good)
    assert [await verifier.verify(good) for _ in range(5)] == [first] * 5
    assert world.checked == 1
    await verifier.verify(token(sub="another"))
    assert world.checked == 2


async def test_its_time_is_looked_at_each_time(world: World) -> None:
    verifier, good = world.verifier(), token(exp=int(NOW) + 300, nbf=int(NOW))
    await verifier.verify(good)
    world.now = NOW + 329.9
    await verifier.verify(good)
    world.now = NOW + 330
    with pytest.raises(TokenExpired):
        await verifier.verify(good)
    world.now = NOW - 31
    assert await refused(verifier, good) == "not_yet_valid"


async def _keys_refreshed(world: World, verifier: TokenVerifier, keys: list[RSAKey], good: str) -> None:
    world.keys = keys
    world.now += REFRESH_SECONDS + 1
    await verifier.verify(good)  # starts the refresh beside it
    await asyncio.sleep(0.01)


async def test_a_key_taken_away_takes_its_tokens_with_it(world: World) -> None:
    verifier, good = world.verifier(), token()
    await verifier.verify(good)
    await _keys_refreshed(world, verifier, [OTHER], good)
    assert await refused(verifier, good) == "unknown_key"


async def test_a_key_exchanged_under_its_name_takes_its_tokens_with_it(world: World) -> None:
    verifier, good = world.verifier(), token()
    await verifier.verify(good)
    await _keys_refreshed(world, verifier, [SUCCESSOR], good)
    assert await refused(verifier, good) == "signature"
    assert await verifier.verify(token(SUCCESSOR))


async def test_a_refresh_that_changes_nothing_locks_nobody_out(world: World) -> None:
    verifier, good = world.verifier(), token()
    await verifier.verify(good)
    await _keys_refreshed(world, verifier, [KEY, OTHER], good)
    assert await verifier.verify(good)


async def test_a_refused_token_is_refused_again_for_its_own_reason(world: World) -> None:
    verifier, good = world.verifier(), token()
    await verifier.verify(good)
    head, body, signature = good.split(".")
    forged = f"{head}.{body}.{signature[::-1]}"
    for _ in range(2):
        assert await refused(verifier, forged) == "signature"
        assert await refused(verifier, token(aud="other")) == "audience"
        assert await refused(verifier, good + " ") != ""
        assert await refused(verifier, "\ud800.a.b") == "malformed"


async def test_what_one_audience_accepts_another_does_not(world: World) -> None:
    await world.verifier().verify(good := token())
    assert await refused(world.verifier("elsewhere"), good) == "audience"


async def test_the_memory_has_a_bound(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier, "_VERIFIED_MOST", 3)
    small = world.verifier()
    tokens = [token(sub=str(number)) for number in range(5)]
    for each in tokens:
        await small.verify(each)
    await small.verify(tokens[4])
    assert world.checked == 5
    assert (await small.verify(tokens[0])).subject == "0", "forgotten, and verified again"
    assert world.checked == 6
    assert len(small._verified) == 3


def test_what_nobody_asked_for_longest_goes_first() -> None:
    recent: Recent[str, int] = Recent(2)
    recent.keep("a", 1)
    recent.keep("b", 2)
    assert recent.get("a") == 1
    recent.keep("c", 3)
    assert (recent.get("a"), recent.get("b"), recent.get("c")) == (1, None, 3)
    recent.forget("a")
    recent.forget("never there")
    assert (recent.get("a"), len(recent)) == (None, 1)
