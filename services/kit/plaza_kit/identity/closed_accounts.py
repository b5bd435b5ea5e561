"""Whose accounts the issuer has closed: people and clients that were disabled or deleted while their tokens live.

An access token is good for minutes after its person was disabled, and a job may work on that person's word for hours.
Asking the issuer about every token would be one request for each caller, and its list of everybody who ever left
grows for ever; its log of administrators' changes says in one small answer whom to look at (ADR 0032). The log is that
of Keycloak 26 (`admin-events`), and so are its paths.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import httpx

from .errors import IssuerUnavailable
from .issuer_keys import issuer_client
from .service_tokens import ServiceTokens

SCOPE: Final = "account-states"
"""Of the realm: with it, and only with it, a client's token carries its roles at the issuer."""
OVERLAP_SECONDS: Final = 120.0
"""A change is written down a little later than its time says, and by a clock that is not ours."""
_SETTLED_SECONDS: Final = 10.0
"""A change is looked at again for so long: another server of the issuer may answer from before it."""
_PAGE: Final = 100
_AT_ONCE: Final = 4
_LOGGED = (
    ("operationTypes", "UPDATE"),
    ("operationTypes", "DELETE"),
    ("resourceTypes", "USER"),
    ("resourceTypes", "CLIENT"),
)


class ClosedAccounts:
    """Asks the issuer again and again; each answer is complete."""

    def __init__(
        self,
        tokens: ServiceTokens,
        *,
        remembered_seconds: float,
        connect_to: str = "",
        http: httpx.AsyncClient | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`tokens`: of a client that may see users, clients and events of the realm, with `SCOPE`;
        `remembered_seconds`: as long as anything may work on an account's word; `connect_to`: as in `issuer_client`;
        `clock`: seconds since the epoch, about as the issuer's."""
        root, _, realm = tokens.issuer.rpartition("/realms/")
        self._admin = f"{root}/admin/realms/{realm}"
        self._tokens = tokens
        self._remembered = remembered_seconds
        self._own_http = http is None
        self._http = http if http is not None else issuer_client(tokens.issuer, connect_to)
        self._clock = clock
        self._since: float | None = None
        self._done: dict[str, float] = {}
        """Changes that were looked at, by their id, with their time."""
        self._people: dict[str, float] = {}
        """Closed accounts by subject, with the time of the change."""
        self._clients: dict[str, bool] = {}
        """All clients that were ever seen, by client id: is it open?"""

    async def look(self) -> frozenset[str]:
        """Subjects of closed accounts and ids of closed clients, as they are now.

        Raises IssuerUnavailable or ClientRefused; what was known before stays known.
        """
        try:
            return await self._look()
        except (KeyError, TypeError, ValueError) as error:
            raise self._failed("admin-events", f"answers what is not understood ({error!r})") from error

    async def _look(self) -> frozenset[str]:
        asked_at = self._clock()
        if (await self._get("events/config")).get("adminEventsEnabled") is not True:
            raise IssuerUnavailable(
                self._tokens.issuer,
                "the realm does not log changes (adminEventsEnabled), so leavers go unseen",
            )
        since = asked_at - self._remembered if self._since is None else self._since - OVERLAP_SECONDS
        new = [event for event in await self._events(since) if event["id"] not in self._done]
        if self._since is None or any(event["resourceType"] == "CLIENT" for event in new):
            await self._look_at_clients()
        changed = {
            _resource(event): _moment(event) for event in reversed(new) if event["resourceType"] == "USER"
        }
        closed = await self._closed_of(changed)
        # Only now: what failed half-way is looked at again.
        self._people = {k: v for k, v in self._people.items() if k not in changed} | closed
        self._people = {k: v for k, v in self._people.items() if v > asked_at - self._remembered}
        settled = asked_at - _SETTLED_SECONDS
        self._done |= {event["id"]: _moment(event) for event in new if _moment(event) < settled}
        self._done = {k: v for k, v in self._done.items() if v > asked_at - 2 * OVERLAP_SECONDS}
        self._since = asked_at
        return frozenset(self._people) | {name for name, is_open in self._clients.items() if not is_open}

    async def aclose(self) -> None:
        """Ends the connections to the issuer, unless the client was given from outside."""
        if self._own_http:
            await self._http.aclose()

    async def _events(self, since: float) -> list[dict[str, Any]]:
        """Newest first; one that comes while pages are turned only shows another twice."""
        found: list[dict[str, Any]] = []
        while True:
            place = (("dateFrom", str(int(since * 1000))), ("first", str(len(found))), ("max", str(_PAGE)))
            page = await self._list("admin-events", (*_LOGGED, *place))
            found += page
            if len(page) < _PAGE:
                return found

    async def _closed_of(self, changed: Mapping[str, float]) -> dict[str, float]:
        slots = asyncio.Semaphore(_AT_ONCE)

        async def is_closed(subject: str) -> bool:
            async with slots:
                answer = await self._ask(f"users/{subject}")
            return answer is None or answer.get("enabled") is not True

        closed = await asyncio.gather(*(is_closed(subject) for subject in changed))
        return {subject: changed[subject] for subject, gone in zip(changed, closed, strict=True) if gone}

    async def _look_at_clients(self) -> None:
        """Few enough to look at all of them. One that was deleted is known by its absence."""
        found: list[dict[str, Any]] = []
        while True:
            page = await self._list("clients", (("first", str(len(found))), ("max", str(_PAGE))))
            found += page
            if len(page) < _PAGE:
                break
        self._clients = dict.fromkeys(self._clients, False) | {
            str(one.get("clientId")): one.get("enabled") is True for one in found
        }

    async def _list(self, path: str, query: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
        answer = await self._ask(path, query)
        if not isinstance(answer, list) or not all(isinstance(one, dict) for one in answer):
            raise self._failed(path, "does not answer a list")
        return answer

    async def _get(self, path: str) -> dict[str, Any]:
        answer = await self._ask(path)
        if not isinstance(answer, dict):
            raise self._failed(path, "does not answer an object")
        return answer

    async def _ask(self, path: str, query: Iterable[tuple[str, str]] = ()) -> Any:
        """None: there is no such thing."""
        headers = {"authorization": f"Bearer {await self._tokens.token()}", "accept": "application/json"}
        try:
            response = await self._http.get(f"{self._admin}/{path}", params=list(query), headers=headers)
        except httpx.HTTPError as error:
            raise self._failed(path, f"does not answer ({type(error).__name__})") from error
        if response.status_code == httpx.codes.NOT_FOUND and path.startswith("users/"):
            return None
        if response.status_code in (401, 403):
            # The token may be older than the right that it needs.
            self._tokens.forget()
            raise self._failed(path, f"answers {response.status_code} to {self._tokens.client_id}")
        if response.status_code != httpx.codes.OK:
            raise self._failed(path, f"answers {response.status_code}")
        try:
            return response.json()
        except ValueError as error:
            raise self._failed(path, "does not answer JSON") from error

    def _failed(self, path: str, what: str) -> IssuerUnavailable:
        return IssuerUnavailable(self._tokens.issuer, f"{self._admin}/{path} {what}")


def _resource(event: Mapping[str, Any]) -> str:
    """`users/1f0c…` → `1f0c…`"""
    return str(event["resourcePath"]).partition("/")[2].partition("/")[0]


def _moment(event: Mapping[str, Any]) -> float:
    return int(event["time"]) / 1000
