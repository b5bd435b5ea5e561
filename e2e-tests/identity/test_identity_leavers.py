"""The same promises of the development issuer and of a real Keycloak: who is shut out is out, and known to be."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import httpx
import pytest
from identity_servers import ON_KEYCLOAK, City, Server, verifying
from keycloak_pages import Stopped
from plaza_kit.identity import ClientRefused, ClosedAccounts, IssuerUnavailable, ServiceTokens
from plaza_kit.identity.closed_accounts import SCOPE

pytestmark = pytest.mark.e2e

HOURS_12 = 43_200.0


class Wire(httpx.AsyncHTTPTransport):
    """Counts what is asked, and can be cut."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.cut = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path.partition("/admin/realms/")[2].partition("/")[2])
        if self.cut:
            raise httpx.ConnectError("cut", request=request)
        return await super().handle_async_request(request)


class Asking:
    """Security's question to the issuer, over a wire of its own."""

    def __init__(self, server: Server, client_id: str = "plaza-security", scope: str = SCOPE) -> None:
        self.wire = Wire()
        self.http = httpx.AsyncClient(transport=self.wire, timeout=10)
        self.tokens = ServiceTokens(server.issuer, client_id, server.secret(client_id), scope=scope)
        self.accounts = ClosedAccounts(self.tokens, remembered_seconds=HOURS_12, http=self.http)

    async def look(self) -> frozenset[str]:
        return await self.accounts.look()

    async def close(self) -> None:
        await self.http.aclose()
        await self.tokens.aclose()


@pytest.fixture
async def asking(server: Server) -> AsyncIterator[Asking]:
    one = Asking(server)
    yield one
    await one.close()


async def test_a_person_is_out_and_in_again(server: Server, asking: Asking) -> None:
    tokens = await server.log_in("ecology-reader")
    async with verifying(server.issuer) as verifier:
        reader = await verifier.verify(tokens["access_token"])
        assert reader.subject not in await asking.look()
        await server.set_open("ecology-reader", False)
        try:
            assert reader.subject in await asking.look()
            assert (await server.refresh(tokens["refresh_token"]))["error"] == "invalid_grant"
            with pytest.raises(Stopped):
                await server.log_in("ecology-reader")
            # The token itself still holds: that is why services ask for more than tokens.
            assert (await verifier.verify(tokens["access_token"])).subject == reader.subject
        finally:
            await server.set_open("ecology-reader", True)
        assert reader.subject not in await asking.look()
        await server.log_in("ecology-reader")


async def test_a_departments_machine_is_out(server: Server, asking: Asking) -> None:
    assert "ecology-worker" not in await asking.look()
    await server.set_open("ecology-worker", False)
    try:
        assert "ecology-worker" in await asking.look()
        machine = ServiceTokens(server.issuer, "ecology-worker", server.secret("ecology-worker"))
        with pytest.raises(ClientRefused):
            await machine.token()
        await machine.aclose()
    finally:
        await server.set_open("ecology-worker", True)
    assert "ecology-worker" not in await asking.look()


async def test_who_asks_for_the_first_time_learns_of_earlier_leavers(server: Server, asking: Asking) -> None:
    tokens = await server.log_in("health-officer")
    async with verifying(server.issuer) as verifier:
        subject = (await verifier.verify(tokens["access_token"])).subject
    await server.set_open("health-officer", False)
    try:
        assert subject in await asking.look(), "a security service that has just started"
    finally:
        await server.set_open("health-officer", True)


async def test_an_outage_half_way_forgets_nobody(server: Server, asking: Asking) -> None:
    await asking.look()
    await server.set_open("ecology-worker", False)
    try:
        asking.wire.cut = True
        for _ in range(3):
            with pytest.raises(IssuerUnavailable):
                await asking.look()
        asking.wire.cut = False
        assert "ecology-worker" in await asking.look()
    finally:
        await server.set_open("ecology-worker", True)


async def test_without_news_a_look_is_two_small_questions(server: Server) -> None:
    """At the hour at which nobody has left for ten seconds: the clock is set on."""
    one, ahead = Asking(server), [0.0]
    accounts = ClosedAccounts(
        one.tokens, remembered_seconds=HOURS_12, http=one.http, clock=lambda: time.time() + ahead[0]
    )
    await accounts.look()
    ahead[0] = 60.0
    await accounts.look()
    one.wire.asked.clear()
    await accounts.look()
    assert one.wire.asked == ["events/config", "admin-events"]
    await one.close()


async def test_only_security_may_ask(server: Server) -> None:
    unscoped = Asking(server, scope="")
    with pytest.raises(IssuerUnavailable, match="403"):
        await unscoped.look()
    await unscoped.close()
    other = Asking(server, client_id="plaza-gateway")
    with pytest.raises(ClientRefused):
        await other.look()
    await other.close()
    root, _, realm = server.issuer.rpartition("/realms/")
    anybody = await server.http.get(f"{root}/admin/realms/{realm}/clients")
    assert anybody.status_code == 401


@ON_KEYCLOAK
async def test_a_deleted_account_is_out_too(city: City, asking: Asking) -> None:
    await asking.look()
    made = await city.keycloak.post("users", {"username": "gone-tomorrow", "enabled": True})
    assert made not in await asking.look()
    await city.keycloak.delete(f"users/{made}")
    assert made in await asking.look()
    made = await city.keycloak.post("clients", {"clientId": "gone-worker", "serviceAccountsEnabled": True})
    await city.keycloak.put(f"clients/{made}", {"clientId": "gone-worker", "enabled": True})
    assert "gone-worker" not in await asking.look()
    await city.keycloak.delete(f"clients/{made}")
    assert "gone-worker" in await asking.look()


@ON_KEYCLOAK
async def test_a_realm_that_does_not_log_changes_confirms_nothing(city: City, asking: Asking) -> None:
    await city.keycloak.put("", {"adminEventsEnabled": False})
    try:
        with pytest.raises(IssuerUnavailable, match="adminEventsEnabled"):
            await asking.look()
    finally:
        await city.keycloak.put("", {"adminEventsEnabled": True})
