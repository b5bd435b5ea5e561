"""The gateway's HTTP API, spoken by a person who is logged in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from .failures import NotLoggedIn, Refused, StrangeAnswer
from .identity import Issuer, IssuerRefused, json_object, not_reachable, send
from .session import Session, SessionStore

_EARLY_SECONDS = 30.0
"""An access token this close to its end is renewed first: it must live until the last service has seen it."""

Parameters = Mapping[str, str | int]


class Api:
    """Requests to one Plaza. Tokens are renewed when needed, by one process at a time."""

    def __init__(
        self, http: httpx.Client, url: str, sessions: SessionStore, now: Callable[[], float]
    ) -> None:
        self._http = http
        self._url = url
        self._sessions = sessions
        self._now = now

    def get(self, path: str, parameters: Parameters | None = None) -> dict[str, Any]:
        """`path` is below `/api/v1/`. Raises `Refused`, `NotLoggedIn`, `NotReachable`, `StrangeAnswer`."""
        return json_object(self._call("GET", path, parameters))

    def get_bytes(self, path: str) -> bytes:
        """A file of the API."""
        return self._call("GET", path).content

    def post(self, path: str, body: object, parameters: Parameters | None = None) -> dict[str, Any]:
        return json_object(self._call("POST", path, parameters, body))

    def patch(self, path: str, body: object, parameters: Parameters | None = None) -> dict[str, Any]:
        return json_object(self._call("PATCH", path, parameters, body))

    def post_for_bytes(self, path: str, body: object) -> bytes:
        """What a method answers with a file."""
        return self._call("POST", path, None, body).content

    def upload(
        self, path: str, chunks: Callable[[], Iterable[bytes]], size: int, parameters: Parameters
    ) -> dict[str, Any]:
        """Sends `size` bytes as they come; `chunks` is asked anew when the session had to be renewed."""

        def build(session: Session) -> httpx.Request:
            headers = {
                **_headers(session),
                "content-type": "application/octet-stream",
                "content-length": str(size),
            }
            return self._http.build_request(
                "POST", self._address(path), params=parameters, content=chunks(), headers=headers
            )

        return json_object(_checked(self._with_session(lambda session: send(self._http, build(session)))))

    @contextmanager
    def stream(
        self,
        path: str,
        parameters: Parameters | None = None,
        *,
        anonymous: bool = False,
        headers: Mapping[str, str] | None = None,
        also: frozenset[int] = frozenset(),
    ) -> Iterator[httpx.Response]:
        """An answer that is read piece by piece. Reading it may raise `httpx.HTTPError`.

        Bodies come as they are (no content coding), so that positions in a file mean the file's bytes. Besides
        success, statuses in `also` are left to the caller.
        """

        def open_with(session: Session | None) -> httpx.Response:
            request = self._build("GET", path, parameters, None, session)
            request.headers.update({"accept": "*/*", "accept-encoding": "identity", **(headers or {})})
            return send(self._http, request, stream=True)

        response = open_with(None) if anonymous else self._with_session(open_with)
        try:
            if not response.is_success and response.status_code not in also:
                try:
                    response.read()
                except httpx.HTTPError as error:
                    raise not_reachable(response.request, error) from error
                _checked(response)
            yield response
        finally:
            response.close()

    def pages(
        self, path: str, items: str, parameters: Parameters | None = None, limit: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """The members of the list `items` over all pages (AIP-158), at most `limit`."""
        count = 0
        for page in self.whole_pages(path, parameters):
            for item in page.get(items) or []:
                if limit is not None and count >= limit:
                    return
                count += 1
                yield item
            if limit is not None and count >= limit:
                return

    def whole_pages(self, path: str, parameters: Parameters | None = None) -> Iterator[dict[str, Any]]:
        """The pages themselves, for what stands beside their lists."""
        seen: set[str] = set()
        token = ""
        while True:
            page = self.get(path, {**(parameters or {}), **({"pageToken": token} if token else {})})
            yield page
            token = str(page.get("nextPageToken") or "")
            if not token:
                return
            if token in seen:
                raise StrangeAnswer(f"{path}: the server gave the same page twice", remedy="Report this.")
            seen.add(token)

    def open_get(self, path: str) -> dict[str, Any]:
        """What everybody may read: no token is sent."""
        return json_object(_checked(send(self._http, self._build("GET", path, None, None, None))))

    def _call(
        self, method: str, path: str, parameters: Parameters | None = None, body: object = None
    ) -> httpx.Response:
        return _checked(
            self._with_session(
                lambda session: send(self._http, self._build(method, path, parameters, body, session))
            )
        )

    def _with_session(self, ask: Callable[[Session], httpx.Response]) -> httpx.Response:
        session = self._session()
        response = ask(session)
        if response.status_code == 401:
            # The issuer may have ended the session, or the services may not know its new key.
            response.close()
            response = ask(self._renew(session))
            if response.status_code == 401:
                response.close()
                raise NotLoggedIn(self._url, "the session is not accepted")
        return response

    def _build(
        self, method: str, path: str, parameters: Parameters | None, body: object, session: Session | None
    ) -> httpx.Request:
        return self._http.build_request(
            method, self._address(path), params=parameters, json=body, headers=_headers(session)
        )

    def _address(self, path: str) -> str:
        return f"{self._url}/api/v1/{path}"

    def _session(self) -> Session:
        session = self._sessions.load(self._url)
        if session is None:
            raise NotLoggedIn(self._url)
        if session.expires_at - self._now() < _EARLY_SECONDS:
            return self._renew(session)
        return session

    def _renew(self, used: Session) -> Session:
        # A refresh token used twice ends the session at the issuer: whoever held the lock before us may
        # have renewed it already, so the file is read again under the lock.
        with self._sessions.lock(self._url):
            current = self._sessions.load(self._url)
            if current is None:
                raise NotLoggedIn(self._url)
            if current.access_token != used.access_token:
                return current
            if not current.refresh_token:
                self._sessions.forget(self._url)
                raise NotLoggedIn(self._url, "the session has ended")
            issuer = Issuer.discover(self._http, self._url, current.issuer, current.client_id)
            try:
                renewed = issuer.refresh(current, self._now)
            except IssuerRefused as refusal:
                if refusal.reason != "invalid_grant":
                    raise
                self._sessions.forget(self._url)
                raise NotLoggedIn(self._url, "the session has ended") from refusal
            self._sessions.save(renewed)
            return renewed


def _headers(session: Session | None) -> dict[str, str]:
    headers = {"accept": "application/json, */*;q=0.5"}
    if session is not None:
        headers["authorization"] = f"Bearer {session.access_token}"
    return headers


def _checked(response: httpx.Response) -> httpx.Response:
    if response.is_success:
        return response
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {
            "detail": f"{response.request.method} {response.request.url}: HTTP {response.status_code}",
            "remedy": "Check --url: is it the address of a Plaza gateway?",
        }
    raise Refused.from_problem(response.status_code, problem)
