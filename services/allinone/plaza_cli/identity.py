"""The issuer as the command needs it: discovery, tokens, device flow, end of session.

OpenID Connect Discovery 1.0, RFC 6749, RFC 8628, RFC 7009.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from .failures import NotReachable, Refused, StrangeAnswer
from .session import Session

SCOPE = "openid organization:*"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"

_SLOW_DOWN_SECONDS = 5.0
"""RFC 8628, 3.5: what `slow_down` adds to the interval."""


class IssuerRefused(Refused):
    """An OAuth error of the issuer; `reason` is its `error` code."""


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """What a person needs to log in with a browser, and what we need to ask for the outcome."""

    user_code: str
    verification_uri: str
    verification_uri_complete: str
    device_code: str
    interval: float
    """Seconds between two questions."""
    expires_in: float


@dataclass(frozen=True, slots=True)
class Issuer:
    """The issuer that a Plaza names, with its end points."""

    http: httpx.Client
    url: str
    """The Plaza."""
    issuer: str
    client_id: str
    token_endpoint: str
    device_endpoint: str
    revocation_endpoint: str

    @classmethod
    def of(cls, http: httpx.Client, url: str) -> Issuer:
        """Asks the Plaza at `url` for its issuer. Raises `NotReachable`, `Refused`, `StrangeAnswer`."""
        document = _get(http, f"{url}/api/v1/identity")
        return cls.discover(http, url, _member(document, "issuer", url), _member(document, "clientId", url))

    @classmethod
    def discover(cls, http: httpx.Client, url: str, issuer: str, client_id: str) -> Issuer:
        """The end points of a known issuer."""
        document = _get(http, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if document.get("issuer") != issuer:
            raise StrangeAnswer(
                f"{url} names the issuer {issuer}, which calls itself {document.get('issuer')}",
                remedy="Both must be the same text: correct the issuer setting of that Plaza.",
            )
        endpoints = cls(
            http,
            url,
            issuer,
            client_id,
            _member(document, "token_endpoint", issuer),
            str(document.get("device_authorization_endpoint") or ""),
            str(document.get("revocation_endpoint") or ""),
        )
        for address in (endpoints.token_endpoint, endpoints.device_endpoint, endpoints.revocation_endpoint):
            if url.startswith("https:") and address and urlsplit(address).scheme != "https":
                raise StrangeAnswer(
                    f"the issuer's end point {address} is not https, {url} is",
                    remedy="Passwords and tokens are not sent in the clear: correct the issuer's address.",
                )
        return endpoints

    def log_in_with_password(self, username: str, password: str, now: Callable[[], float]) -> Session:
        """For scripts; only the development issuer allows it. Raises `IssuerRefused`."""
        form = {"grant_type": "password", "username": username, "password": password, "scope": SCOPE}
        return self._session(form, now)

    def start_device(self) -> DeviceCode:
        """Asks for a code to log in with a browser (RFC 8628, 3.1)."""
        if not self.device_endpoint:
            raise StrangeAnswer(
                f"the issuer {self.issuer} has no device flow", remedy="Use --user with --password-stdin."
            )
        answer = _post(self.http, self.device_endpoint, {"client_id": self.client_id, "scope": SCOPE})
        return DeviceCode(
            user_code=_member(answer, "user_code", self.issuer),
            verification_uri=_member(answer, "verification_uri", self.issuer),
            verification_uri_complete=str(answer.get("verification_uri_complete") or ""),
            device_code=_member(answer, "device_code", self.issuer),
            interval=_seconds(answer, "interval", 5.0),
            expires_in=_seconds(answer, "expires_in", 600.0),
        )

    def finish_device(
        self, code: DeviceCode, now: Callable[[], float], sleep: Callable[[float], None]
    ) -> Session:
        """Waits until the person has confirmed (RFC 8628, 3.5). Raises `IssuerRefused` when they did not."""
        deadline, interval = now() + code.expires_in, code.interval
        while True:
            sleep(interval)
            if now() >= deadline:
                raise IssuerRefused("the code has expired", reason="expired_token", remedy="Log in again.")
            try:
                return self._session({"grant_type": DEVICE_GRANT, "device_code": code.device_code}, now)
            except IssuerRefused as refusal:
                if refusal.reason == "slow_down":
                    interval += _SLOW_DOWN_SECONDS
                elif refusal.reason != "authorization_pending":
                    raise
            except NotReachable:
                interval *= 2  # RFC 8628, 3.5 asks for a back-off when the connection fails

    def refresh(self, session: Session, now: Callable[[], float]) -> Session:
        """A new pair of tokens. The old refresh token is used up: call it under the session's lock only."""
        form = {"grant_type": "refresh_token", "refresh_token": session.refresh_token}
        return self._session(form, now, session.refresh_token)

    def revoke(self, session: Session) -> None:
        """Ends the session at the issuer."""
        if self.revocation_endpoint and session.refresh_token:
            form = {
                "client_id": self.client_id,
                "token": session.refresh_token,
                "token_type_hint": "refresh_token",
            }
            _post(self.http, self.revocation_endpoint, form)

    def _session(self, form: dict[str, str], now: Callable[[], float], refresh_token: str = "") -> Session:
        asked = now()
        answer = _post(self.http, self.token_endpoint, {"client_id": self.client_id, **form})
        return Session(
            url=self.url,
            issuer=self.issuer,
            client_id=self.client_id,
            access_token=_member(answer, "access_token", self.issuer),
            refresh_token=str(answer.get("refresh_token") or refresh_token),
            expires_at=asked + _seconds(answer, "expires_in", 60.0),
        )


def send(http: httpx.Client, request: httpx.Request, *, stream: bool = False) -> httpx.Response:
    """The answer, or `NotReachable`. With `stream` its body is still to be read, and the answer to be closed."""
    try:
        return http.send(request, stream=stream)
    except httpx.HTTPError as error:
        raise not_reachable(request, error) from error


def not_reachable(request: httpx.Request, error: httpx.HTTPError) -> NotReachable:
    """The failure for a request that got no answer, or only a part of one."""
    if isinstance(error, httpx.TimeoutException):
        return NotReachable(
            f"no answer from {_origin(request)} in time", remedy="Try again; see `plaza status`."
        )
    return NotReachable(
        f"{_origin(request)} cannot be reached: {error}",
        remedy="Check --url (or PLAZA_URL), and that the suite runs there: `plaza status`.",
    )


def json_object(response: httpx.Response) -> dict[str, Any]:
    """The body of an answer. Raises `StrangeAnswer`."""
    try:
        document = response.json()
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise StrangeAnswer(
            f"{response.request.method} {response.request.url}: "
            f"the answer ({response.status_code}) is not a JSON object",
            remedy="Check --url: is it the address of a Plaza gateway?",
        )
    return document


def _get(http: httpx.Client, address: str) -> dict[str, Any]:
    response = send(http, _request(http, "GET", address))
    if response.is_success:
        return json_object(response)
    raise Refused(
        f"GET {address}: HTTP {response.status_code}",
        status=response.status_code,
        remedy="Check --url: is it the address of a Plaza gateway, and is it ready?",
    )


def _post(http: httpx.Client, address: str, form: dict[str, str]) -> dict[str, Any]:
    response = send(http, _request(http, "POST", address, form))
    if response.is_success:
        return json_object(response) if response.content else {}
    document = json_object(response)
    code = str(document.get("error") or "")
    said = str(document.get("error_description") or "")
    raise IssuerRefused(
        f"the issuer refused: {said or code or f'HTTP {response.status_code}'}",
        status=response.status_code,
        reason=code,
        remedy=_REMEDIES.get(code, ""),
    )


_REMEDIES = {
    "invalid_grant": "Check user name and password.",
    "expired_token": "Log in again.",
    "access_denied": "The log-in was declined in the browser: log in again to allow it.",
    "unauthorized_client": "This issuer takes no passwords: run `plaza login` and use the browser.",
}


def _request(
    http: httpx.Client, method: str, address: str, form: dict[str, str] | None = None
) -> httpx.Request:
    try:
        return http.build_request(method, address, data=form)
    except httpx.InvalidURL as error:
        raise StrangeAnswer(f"{address!r} is no address: {error}") from error


def _origin(request: httpx.Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc.decode('ascii', 'replace')}"


def _member(document: dict[str, Any], name: str, source: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not value:
        raise StrangeAnswer(
            f"{source} answers without {name}", remedy="Check --url: is it the address of a Plaza gateway?"
        )
    return value


def _seconds(document: dict[str, Any], name: str, otherwise: float) -> float:
    value = document.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return float(value)
    return otherwise
