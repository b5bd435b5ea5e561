"""The part of Keycloak's admin API that says whose accounts were closed: read only, for whoever holds the roles.

Answers have the members that are asked for (`plaza_kit.identity.ClosedAccounts`), and no others.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from .keys import ForeignToken, SigningKey
from .model import ISSUERS_OWN, AccountId, Realm
from .standing import open_account, open_client
from .store import Closing, Store

_MOST = 100


class Administration:
    """`/admin/realms/<realm>`."""

    def __init__(
        self, realm: Realm, key: SigningKey, store: Store, clock: Callable[[], float] = time.time
    ) -> None:
        self._realm = realm
        self._key = key
        self._store = store
        self._clock = clock
        self._account_ids = {account.username: account.id for account in realm.accounts.values()}

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix=f"/admin/realms/{self._realm.name}")
        for path, endpoint in (
            ("/events/config", self.events_config),
            ("/admin-events", self.admin_events),
            ("/users/{account_id}", self.user),
            ("/clients", self.clients),
        ):
            router.add_api_route(path, endpoint, methods=["GET"], response_model=None)
        return router

    async def events_config(self, request: Request) -> Response:
        """Changes are always logged."""
        return self._refusal(request, "view-events") or JSONResponse({"adminEventsEnabled": True})

    async def admin_events(self, request: Request) -> Response:
        """Newest first; `dateFrom` in milliseconds."""
        if refusal := self._refusal(request, "view-events"):
            return refusal
        since = _number(request, "dateFrom") / 1000
        events = [self._event(one) for one in self._store.closings(since)]
        return JSONResponse(_page(request, events))

    async def user(self, request: Request, account_id: str) -> Response:
        """Whether an account is open."""
        if refusal := self._refusal(request, "view-users"):
            return refusal
        account = self._realm.accounts.get(AccountId(account_id))
        if account is None:
            return JSONResponse({"error": "User not found"}, 404)
        is_open = open_account(self._realm, self._store, account.id) is not None
        return JSONResponse({"id": account.id, "username": account.username, "enabled": is_open})

    async def clients(self, request: Request) -> Response:
        """All clients."""
        if refusal := self._refusal(request, "view-clients"):
            return refusal
        found = [
            {"clientId": name, "enabled": open_client(self._realm, self._store, name) is not None}
            for name in self._realm.clients
        ]
        return JSONResponse(_page(request, found))

    def _event(self, closing: Closing) -> dict[str, object]:
        account = self._account_ids.get(closing.name)
        kind, path = ("USER", f"users/{account}") if account else ("CLIENT", f"clients/{closing.name}")
        return {
            "id": f"{closing.name} {closing.at}",
            "time": int(closing.at * 1000),
            "operationType": "UPDATE",
            "resourceType": kind,
            "resourcePath": path,
        }

    def _refusal(self, request: Request, role: str) -> Response | None:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        try:
            claims = self._key.read(token.strip()) if kind.lower() == "bearer" else {}
        except ForeignToken:
            claims = {}
        expires_at = claims.get("exp")
        if claims.get("typ") != "Bearer" or not isinstance(expires_at, int) or self._clock() >= expires_at:
            return JSONResponse({"error": "HTTP 401 Unauthorized"}, 401)
        rights = claims.get("resource_access")
        own = rights.get(ISSUERS_OWN) if isinstance(rights, dict) else None
        held = own.get("roles") if isinstance(own, dict) else None
        if not isinstance(held, list) or role not in held:
            return JSONResponse({"error": "HTTP 403 Forbidden"}, 403)
        return None


def _number(request: Request, name: str) -> int:
    text = request.query_params.get(name, "0")
    return int(text) if text.isascii() and text.isdigit() else 0


def _page(request: Request, found: list[dict[str, object]]) -> list[dict[str, object]]:
    first = _number(request, "first")
    return found[first : first + (_number(request, "max") or _MOST)]
