"""The same promises of the development issuer and of a real Keycloak: whose token says what, and which are refused."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from typing import Any

import httpx
import pytest
from identity_servers import OURS, Server, verifying
from plaza_kit.identity import (
    BadToken,
    ClientRefused,
    PrincipalKind,
    ServiceTokens,
    TokenExpired,
)

pytestmark = pytest.mark.e2e


class Wire(httpx.AsyncHTTPTransport):
    """Counts what is asked, and can be cut."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.cut = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        if self.cut:
            raise httpx.ConnectError("cut", request=request)
        return await super().handle_async_request(request)


def changed(token: str, header: dict[str, Any], *, signature: str | None = None) -> str:
    """The token under another header."""
    encoded = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    _, payload, signed = token.split(".")
    return f"{encoded}.{payload}.{signed if signature is None else signature}"


def header_of(token: str) -> dict[str, Any]:
    encoded = token.partition(".")[0]
    return dict(json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))))


# Who somebody is


async def test_a_person_with_departments_and_roles(server: Server) -> None:
    async with verifying(server.issuer) as verifier:
        tokens = await server.log_in("ecology-officer")
        officer = await verifier.verify(tokens["access_token"])
        assert (officer.kind, officer.username) == (PrincipalKind.PERSON, "ecology-officer")
        assert (officer.display_name, officer.departments) == ("林清源", {"ecology"})
        assert officer.roles & OURS == {"data-officer"}
        with pytest.raises(BadToken, match=r"audience|meant for"):
            await verifier.verify(tokens["id_token"])
        reader = await verifier.verify((await server.log_in("ecology-reader"))["access_token"])
        assert reader.roles & OURS == {"reader"}
        assert reader.subject != officer.subject


async def test_services_and_machines_for_themselves(server: Server) -> None:
    async with verifying(server.issuer) as verifier:
        for client_id in ("plaza-catalogue", "plaza-security", "ecology-worker"):
            source = ServiceTokens(server.issuer, client_id, server.secret(client_id))
            principal = await verifier.verify(await source.token())
            await source.aclose()
            if client_id == "ecology-worker":
                assert (principal.name, principal.departments) == ("machines/ecology-worker", {"ecology"})
                assert principal.roles & OURS == {"department-machine"}
            else:
                assert (principal.name, principal.departments) == (f"services/{client_id}", set())
                assert principal.roles & OURS == {"plaza-service"}
        wrong = ServiceTokens(server.issuer, "plaza-catalogue", "wrong")
        with pytest.raises(ClientRefused):
            await wrong.token()
        await wrong.aclose()


async def test_rights_over_the_realm_are_in_no_token_but_that_which_asks_for_them(server: Server) -> None:
    def rights(answer: httpx.Response) -> object:
        payload = answer.json()["access_token"].split(".")[1]
        return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))).get(
            "resource_access"
        )

    assert rights(await server.client_token("plaza-security")) is None
    asking = {"grant_type": "client_credentials", "scope": "account-states"}
    secret = server.secret("plaza-security")
    asked = await server.post("token", client_id="plaza-security", client_secret=secret, **asking)
    assert "view-users" in json.dumps(rights(asked))
    assert "manage-" not in json.dumps(rights(asked))
    secret = server.secret("plaza-gateway")
    other = await server.post("token", client_id="plaza-gateway", client_secret=secret, **asking)
    assert other.json()["error"] == "invalid_scope"


# What is refused


async def test_tokens_that_do_not_hold(server: Server) -> None:
    token = (await server.client_token("ecology-worker")).json()["access_token"]
    header = header_of(token)
    async with verifying(server.issuer) as verifier:
        await verifier.verify(token)
        for forged, why in (
            (changed(token, header | {"alg": "none"}, signature=""), "algorithm"),
            (changed(token, header | {"alg": "HS256"}), "algorithm"),
            (changed(token, header | {"kid": "another"}), "unknown_key"),
            (token[:-6] + ("AAAAAA" if token[-6:] != "AAAAAA" else "BBBBBB"), "signature"),
            (await server.foreign_token(), "unknown_key"),
        ):
            with pytest.raises(BadToken) as refused:
                await verifier.verify(forged)
            assert refused.value.why == why
    async with verifying(server.foreign_issuer) as elsewhere:
        with pytest.raises(BadToken):
            await elsewhere.verify(token)
    async with verifying(server.issuer, "another-city") as another:
        with pytest.raises(BadToken) as refused:
            await another.verify(token)
        assert refused.value.why == "audience"
    async with verifying(server.issuer, clock=lambda: time.time() + 331) as later:
        with pytest.raises(TokenExpired):
            await later.verify(token)


async def test_an_issuer_of_another_name_is_not_believed(server: Server) -> None:
    """The right keys, and tokens that name somebody else: as behind a wrong address."""
    token = (await server.client_token("ecology-worker")).json()["access_token"]
    named = httpx.URL(server.issuer)
    other = str(named.copy_with(host="localhost"))

    class Renamed(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            request.url = request.url.copy_with(host=named.host)
            answer = await super().handle_async_request(request)
            text = (await answer.aread()).decode().replace(server.issuer, other)
            return httpx.Response(answer.status_code, text=text)

    http = httpx.AsyncClient(transport=Renamed())
    async with http, verifying(other, http=http) as verifier:
        with pytest.raises(BadToken) as refused:
            await verifier.verify(token)
        assert refused.value.why == "issuer"


async def test_a_flood_of_unknown_keys_is_two_requests(server: Server) -> None:
    token = (await server.client_token("ecology-worker")).json()["access_token"]
    wire = Wire()
    async with httpx.AsyncClient(transport=wire) as http, verifying(server.issuer, http=http) as verifier:
        forged = [changed(token, header_of(token) | {"kid": secrets.token_hex(8)}) for _ in range(300)]
        answers = await asyncio.gather(*(verifier.verify(one) for one in forged), return_exceptions=True)
        assert {one.why for one in answers if isinstance(one, BadToken)} == {"unknown_key"}
        assert len(answers) == sum(isinstance(one, BadToken) for one in answers)
        await verifier.verify(token)
        assert len(wire.asked) == 2, "the discovery document and the keys, once"


async def test_thirty_seconds_without_the_issuer_change_nothing(server: Server) -> None:
    """Who is in stays in, also by a token that was not seen before; who is out stays out."""
    now, wire = [0.0], Wire()
    async with (
        httpx.AsyncClient(transport=wire) as http,
        verifying(server.issuer, http=http, monotonic=lambda: now[0]) as verifier,
    ):
        token, later = [
            (await server.client_token("ecology-worker")).json()["access_token"] for _ in range(2)
        ]
        await verifier.verify(token)
        wire.cut = True
        for _ in range(31):
            now[0] += 1
            assert (await verifier.verify(token)).name == "machines/ecology-worker"
            with pytest.raises(BadToken):
                await verifier.verify(changed(token, header_of(token) | {"kid": "another"}))
        await verifier.verify(later)
        assert len(wire.asked) <= 2 + 31 / 5 + 1


async def test_a_new_key_is_known_at_once_and_the_old_one_to_the_end(server: Server) -> None:
    async with verifying(server.issuer, monotonic=Steps()) as verifier:
        old = (await server.client_token("ecology-worker")).json()["access_token"]
        await verifier.verify(old)
        await server.rotate_key()
        new = (await server.client_token("ecology-worker")).json()["access_token"]
        assert header_of(new)["kid"] != header_of(old)["kid"]
        assert (await verifier.verify(new)).name == "machines/ecology-worker"
        assert (await verifier.verify(old)).name == "machines/ecology-worker"
    async with verifying(server.issuer) as fresh:
        await fresh.verify(old)


class Steps:
    """A clock that has gone six seconds further each time: no question has to wait for the one before."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 6
        return self.now
