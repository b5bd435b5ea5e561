"""The tokens with which a service or a department's worker proves itself (RFC 6749, section 4.4)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from .errors import ClientRefused, IssuerUnavailable
from .issuer_keys import IssuerMetadata, issuer_client

_RETRY_SECONDS = 5.0
"""After a failed early renewal the old token serves, and the issuer is left in peace for this time."""


@dataclass(slots=True)
class _Held:
    value: str
    renew_at: float
    usable_until: float


class ServiceTokens:
    """Access tokens of one client, by its own credentials: cached, renewed early, one request at a time."""

    def __init__(
        self,
        issuer: str,
        client_id: str,
        client_secret: str,
        *,
        scope: str = "",
        connect_to: str = "",
        http: httpx.AsyncClient | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`scope`: beside the client's default scopes; `connect_to`: as in `issuer_client`; `clock` in seconds, only
        differences count."""
        self.issuer = issuer
        self.client_id = client_id
        self._secret = client_secret
        self._scope = scope
        self._clock = clock
        self._own_http = http is None
        self._http = http if http is not None else issuer_client(issuer, connect_to)
        self._metadata = IssuerMetadata(issuer, self._http)
        self._held: _Held | None = None
        self._one_at_a_time = asyncio.Lock()

    async def token(self) -> str:
        """A token that is good for at least some seconds more.

        Raises `ClientRefused` when the credentials are wrong, `IssuerUnavailable` when no token can be had
        and none is left.
        """
        held = self._held
        if held is not None and self._usable(held) and self._one_at_a_time.locked():
            return held.value  # somebody renews already
        if held is not None and self._clock() < held.renew_at:
            return held.value
        async with self._one_at_a_time:
            held = self._held
            if held is not None and self._clock() < held.renew_at:
                return held.value
            try:
                self._held = held = await self._request()
            except IssuerUnavailable:
                if held is None or not self._usable(held):
                    raise
                held.renew_at = min(self._clock() + _RETRY_SECONDS, held.usable_until)
            return held.value

    def forget(self) -> None:
        """The token that is held is of no use: the next call gets another."""
        self._held = None

    async def aclose(self) -> None:
        """Ends the connections to the issuer, unless the client was given from outside."""
        if self._own_http:
            await self._http.aclose()

    def _usable(self, held: _Held) -> bool:
        return self._clock() < held.usable_until

    async def _request(self) -> _Held:
        endpoint = (await self._metadata.endpoints()).token_endpoint
        asked_at = self._clock()
        form = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self._secret,
        } | ({"scope": self._scope} if self._scope else {})
        try:
            response = await self._http.post(endpoint, data=form, headers={"accept": "application/json"})
        except httpx.HTTPError as error:
            raise IssuerUnavailable(
                self.issuer, f"{endpoint} does not answer ({type(error).__name__})"
            ) from error
        answer = _json_object(response)
        if response.status_code in (400, 401, 403):
            raise ClientRefused(self.issuer, self.client_id, str(answer.get("error", response.status_code)))
        value, seconds = answer.get("access_token"), answer.get("expires_in")
        if (
            response.status_code != httpx.codes.OK
            or not isinstance(value, str)
            or not isinstance(seconds, int)
        ):
            raise IssuerUnavailable(self.issuer, f"{endpoint} answers {response.status_code} without a token")
        # Renewed after four fifths of its life; the last twentieth is left to the call that carries it.
        return _Held(value, asked_at + 0.8 * seconds, asked_at + 0.95 * seconds)


def _json_object(response: httpx.Response) -> dict[str, object]:
    try:
        answer = response.json()
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
