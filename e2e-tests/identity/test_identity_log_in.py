"""The same promises of the development issuer and of a real Keycloak: the ways in, and the ways out."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
from typing import Any
from urllib.parse import urlencode

import pytest
from identity_servers import CALLBACK, ON_KEYCLOAK, OURS, SCOPE, City, Development, Server, verifying
from keycloak_pages import Stopped

pytestmark = pytest.mark.e2e


def asked(server: Server, challenge: str, **more: str) -> str:
    """An authorization request of the console."""
    query = {
        "client_id": "plaza-console",
        "redirect_uri": CALLBACK,
        "response_type": "code",
        "scope": SCOPE,
        "state": "s-1",
        "nonce": "n-1",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    } | more
    present = {name: value for name, value in query.items() if value}
    return f"{server.issuer}/protocol/openid-connect/auth?{urlencode(present)}"


def pair() -> tuple[str, str]:
    """Verifier and challenge (RFC 7636, 4.1 and 4.2)."""
    verifier = secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    return verifier, base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


async def redeem(server: Server, code: str, verifier: str) -> dict[str, Any]:
    answer = await server.post(
        "token",
        grant_type="authorization_code",
        client_id="plaza-console",
        code=code,
        redirect_uri=CALLBACK,
        code_verifier=verifier,
    )
    return dict(answer.json())


async def test_a_code_needs_its_verifier_and_is_good_once(server: Server) -> None:
    verifier, challenge = pair()
    sign_in = server.people.sign_in
    back = await asyncio.to_thread(sign_in, asked(server, challenge), CALLBACK, "ecology-officer")
    assert (back["state"], back["iss"]) == ("s-1", server.issuer)
    assert (await redeem(server, back["code"], pair()[0]))["error"] == "invalid_grant"
    back = await asyncio.to_thread(sign_in, asked(server, challenge), CALLBACK, "ecology-officer")
    tokens = await redeem(server, back["code"], verifier)
    async with verifying(server.issuer) as checking:
        assert (await checking.verify(tokens["access_token"])).departments == {"ecology"}
    assert (await redeem(server, back["code"], verifier))["error"] == "invalid_grant"
    spent = {"grant_type": "refresh_token", "client_id": "plaza-console"}
    ended = await server.post("token", refresh_token=tokens["refresh_token"], **spent)
    assert ended.json()["error"] == "invalid_grant", "two held the same code: neither goes on"


async def test_without_a_challenge_there_is_no_code(server: Server) -> None:
    for broken in ({"code_challenge": "", "code_challenge_method": ""}, {"code_challenge_method": "plain"}):
        answer = await server.http.get(asked(server, pair()[1], **broken))
        assert answer.next_request is not None
        assert answer.next_request.url.params["error"] == "invalid_request"
    elsewhere = await server.http.get(asked(server, pair()[1], redirect_uri="https://evil.example/"))
    assert elsewhere.status_code == 400, "nobody is sent to a strange address"


async def test_a_device_waits_until_somebody_allows_it(server: Server) -> None:
    device = (await server.post("auth/device", client_id="plaza-cli", scope=SCOPE)).json()
    assert (await server.poll(device))["error"] == "authorization_pending"
    assert (await server.poll(device))["error"] == "slow_down"
    refused = await server.post("auth/device", client_id="plaza-console", scope=SCOPE)
    assert refused.json()["error"] == "unauthorized_client"


async def test_refresh_tokens_rotate_and_an_old_one_ends_the_session(server: Server) -> None:
    chain = [await server.log_in("ecology-officer")]
    for _ in range(2):
        await asyncio.sleep(1.1)  # Keycloak tells older from newer by whole seconds
        chain.append(await server.refresh(chain[-1]["refresh_token"]))
    assert len({one["refresh_token"] for one in chain}) == 3
    other = await server.log_in("health-officer")
    assert (await server.refresh(chain[0]["refresh_token"]))["error"] == "invalid_grant"
    assert (await server.refresh(chain[2]["refresh_token"]))["error"] == "invalid_grant"
    assert "access_token" in await server.refresh(other["refresh_token"]), "others stay logged in"


async def test_logging_out_ends_the_session(server: Server) -> None:
    tokens = await server.log_in("ecology-officer")
    await server.post("logout", client_id="plaza-cli", refresh_token=tokens["refresh_token"])
    assert (await server.refresh(tokens["refresh_token"]))["error"] == "invalid_grant"
    again = await server.log_in("ecology-officer")
    await server.post("revoke", client_id="plaza-cli", token=again["refresh_token"])
    assert (await server.refresh(again["refresh_token"]))["error"] == "invalid_grant"


async def test_programs_may_not_take_passwords(server: Server) -> None:
    person = {"username": "ecology-officer", "password": server.people.password}
    shut = await server.post("token", grant_type="password", client_id="plaza-console", **person)
    assert shut.json()["error"] == "unauthorized_client"
    command = await server.post("token", grant_type="password", client_id="plaza-cli", **person)
    # Only the development issuer, only for the command (ADR 0004).
    assert ("access_token" in command.json()) == isinstance(server, Development)


async def test_guessing_passwords_shuts_the_name_for_a_while(server: Server) -> None:
    for _ in range(10):
        with pytest.raises(Stopped):
            await server.log_in("health-officer", "not her password")
    await asyncio.sleep(1)  # Keycloak counts behind the answer
    with pytest.raises(Stopped):
        await server.log_in("health-officer")
    await server.log_in("ecology-reader")


@ON_KEYCLOAK
async def test_administrators_log_in_with_a_second_factor(city: City) -> None:
    await city.log_in("ecology-reader")
    assert "otp" not in city.people.passed
    assert "totp" not in city.people.passed
    await city.log_in("bureau-admin")
    assert "totp" in city.people.passed, "led through setting it up"
    tokens = await city.log_in("bureau-admin")
    assert "otp" in city.people.passed
    async with verifying(city.issuer) as verifier:
        assert (await verifier.verify(tokens["access_token"])).roles & OURS == {"city-administrator"}
    city.people.secrets["bureau-admin"], right = "another secret", city.people.secrets["bureau-admin"]
    with pytest.raises(Stopped):
        await city.log_in("bureau-admin")
    city.people.secrets["bureau-admin"] = right
