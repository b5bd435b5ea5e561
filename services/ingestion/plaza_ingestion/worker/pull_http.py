"""Fetching a file from a web address (RFC 9110): conditional, resumed where that is safe, never more than permitted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote, urlsplit

import httpx
from plaza.ingestion.v1 import sources_pb2
from plaza_kit.errors import FailedPrecondition, Unavailable

from plaza_ingestion.worker.gunzip import BrokenGzip, Gunzip
from plaza_ingestion.worker.pull_network import GuardedTransport, UnknownHost
from plaza_ingestion.worker.pull_secrets import Secrets
from plaza_ingestion.worker.pulled_file import Pulled, PulledFile

_TIMEOUT: Final = httpx.Timeout(60.0, connect=10.0)
_ATTEMPTS: Final = 5
_MOST_REDIRECTS: Final = 5
_LONGEST_PAUSE_SECONDS: Final = 60.0
_SLICE_SECONDS: Final = 0.2
_PASSING: Final = frozenset({429, 502, 503, 504})
"""Statuses that another try may not meet."""
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_CODINGS: Final = frozenset({"", "identity", "gzip", "x-gzip"})


class SourceAway(Unavailable):
    """The source cannot be reached, or breaks off each time."""


class SourceRefuses(FailedPrecondition):
    """The source answers, but not with the file."""


class RedirectRefused(FailedPrecondition):
    """The source sends elsewhere in a way that is not followed."""


class BadCredential(FailedPrecondition):
    """The text of a secret cannot be a header."""


class _Again(Exception):
    """Another try may succeed."""

    def __init__(self, why: str, after: float | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.after = after


def fetch(
    connector: sources_pb2.HttpConnector,
    cursor: sources_pb2.PullCursor,
    secrets: Secrets,
    file: PulledFile,
    *,
    pause: Callable[[float], None] = time.sleep,
) -> Pulled:
    """Writes what the address gives into `file`.

    Raises `SourceAway`, `SourceRefuses`, `RedirectRefused`, `ForbiddenAddress`, `CredentialMissing`,
    `BadCredential`, and as `PulledFile`. Blocking.
    """
    with httpx.Client(transport=GuardedTransport(), timeout=_TIMEOUT, trust_env=False) as client:
        return _Fetch(client, connector, cursor, _secret_header(connector, secrets), file, pause).run()


@dataclass(slots=True)
class _Fetch:
    client: httpx.Client
    connector: sources_pb2.HttpConnector
    cursor: sources_pb2.PullCursor
    secret: Mapping[str, str] = field(repr=False)
    file: PulledFile
    pause: Callable[[float], None]
    resume_with: str = ""
    """The strong entity tag of the file of which a part is there; empty: the next try begins anew."""

    def run(self) -> Pulled:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._once()
            except _Again as again:
                wait = again.after if again.after is not None else float(2 ** (attempt - 1))
                if attempt == _ATTEMPTS or wait > _LONGEST_PAUSE_SECONDS:
                    raise SourceAway(
                        f"{self._host} did not give the file in {attempt} tries: {again.why}",
                        remedy="See whether the source is up; the next pull tries again.",
                    ) from again
                self._wait(wait)
        raise AssertionError("the last attempt returns or raises")

    @property
    def _resumes(self) -> bool:
        return bool(self.resume_with and self.file.size)

    @property
    def _host(self) -> str:
        return urlsplit(self.connector.url).netloc

    def _wait(self, seconds: float) -> None:
        while seconds > 0:
            self.file.check()
            self.pause(min(seconds, _SLICE_SECONDS))
            seconds -= _SLICE_SECONDS
        self.file.check()

    def _once(self) -> Pulled:
        try:
            response = self._open()
        except (httpx.TransportError, UnknownHost) as error:
            raise _Again(str(error) or type(error).__name__) from error
        try:
            return self._answer(response)
        except httpx.TransportError as error:
            raise _Again(f"it broke off after {self.file.size} bytes ({type(error).__name__})") from error
        finally:
            response.close()

    def _open(self) -> httpx.Response:
        """The answer behind all redirects, its body not yet read. Raises RedirectRefused."""
        url = first = httpx.URL(self.connector.url)
        for _ in range(_MOST_REDIRECTS + 1):
            headers = self._headers(own=_origin(url) == _origin(first))
            response = self.client.send(self.client.build_request("GET", url, headers=headers), stream=True)
            if response.status_code not in _REDIRECTS:
                return response
            location = response.headers.get("location", "")
            response.close()
            url = _redirected(url, location)
        raise RedirectRefused(
            f"{self._host} redirects more than {_MOST_REDIRECTS} times",
            remedy="Give the address at which the file is.",
        )

    def _headers(self, *, own: bool) -> dict[str, str]:
        """`own`: to the host that was registered. Another one gets neither secrets nor headers meant for it."""
        headers = {"accept": "*/*", "accept-encoding": "gzip", "user-agent": "plaza-worker"}
        if self._resumes:
            headers |= {
                "accept-encoding": "identity",
                "range": f"bytes={self.file.size}-",
                "if-range": self.resume_with,
            }
        else:
            if self.cursor.etag:
                headers["if-none-match"] = self.cursor.etag
            if self.cursor.last_modified:
                headers["if-modified-since"] = self.cursor.last_modified
        if own:
            headers |= {name.lower(): value for name, value in self.connector.headers.items()}
            headers |= self.secret
        return headers

    def _answer(self, response: httpx.Response) -> Pulled:
        status = response.status_code
        if status in _PASSING:
            raise _Again(f"it answers {_said(status)}", _retry_after(response))
        if status == HTTPStatus.NOT_MODIFIED and not self._resumes and _is_conditional(self.cursor):
            return Pulled("", sources_pb2.PullCursor(), not_modified=True)
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and self._resumes:
            self._begin()
            raise _Again("it does not go on where it broke off", 0)
        if status == HTTPStatus.PARTIAL_CONTENT and self._resumes:
            range_given = response.headers.get("content-range", "")
            if not range_given.startswith(f"bytes {self.file.size}-") or not _is_plain(response):
                self._begin()
                raise _Again("it goes on at another place than asked", 0)
        elif status == HTTPStatus.OK:
            self._begin()
        else:
            raise _refusal(self._host, status)
        return self._body(response)

    def _begin(self) -> None:
        self.file.restart()
        self.resume_with = ""

    def _body(self, response: httpx.Response) -> Pulled:
        coding = _coding(response)
        if coding not in _CODINGS:
            raise SourceRefuses(
                f"{self._host} sends the file in the coding {coding!r}, which was not asked for",
                remedy="Let the source send it as it is, or as gzip.",
            )
        plain = _is_plain(response)
        length = response.headers.get("content-length", "")
        if plain and length.isascii() and length.isdigit():
            self.file.expect(int(length))
        etag = response.headers.get("etag", "")
        if plain:
            # Only a strong tag promises the same bytes. Set before the first one comes: it may be cut any time.
            self.resume_with = "" if etag.startswith("W/") else etag
        try:
            for piece in response.iter_raw() if plain else _unzipped(response.iter_raw()):
                self.file.write(piece)
        except BrokenGzip as error:
            raise SourceRefuses(
                f"{self._host} sends a body that is not whole gzip: {error}", remedy="See what it sends."
            ) from error
        if not self.file.size:
            raise SourceRefuses(f"{self._host} answers with an empty body", remedy="See what it sends.")
        sha256 = self.file.finish()
        cursor = sources_pb2.PullCursor(
            etag=_short(etag),
            last_modified=_short(response.headers.get("last-modified", "")),
            sha256=sha256,
        )
        return Pulled(_file_name(response), cursor, self.file.size, sha256)


def _coding(response: httpx.Response) -> str:
    return str(response.headers.get("content-encoding", "")).strip().lower()


def _is_plain(response: httpx.Response) -> bool:
    return _coding(response) in ("", "identity")


def _unzipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    gunzip = Gunzip()
    for piece in pieces:
        yield from gunzip.feed(piece)
    gunzip.end()


def _secret_header(connector: sources_pb2.HttpConnector, secrets: Secrets) -> dict[str, str]:
    if not connector.credential:
        return {}
    text = secrets.text(connector.credential)
    if not (text.isascii() and text.isprintable()):
        raise BadCredential(
            f"The credential {connector.credential!r} is not one line of plain ASCII text.",
            remedy="Write it again, for instance `Bearer …`.",
        )
    return {(connector.credential_header or "Authorization").lower(): text}


def _redirected(url: httpx.URL, location: str) -> httpx.URL:
    """Raises RedirectRefused."""
    try:
        target = url.join(location) if location else None
    except httpx.InvalidURL:
        target = None
    if target is None or not target.host:
        raise RedirectRefused(
            f"{url.host} redirects to no address", remedy="Give the address at which the file is."
        )
    if target.scheme not in ("http", "https") or target.userinfo:
        raise RedirectRefused(
            f"{url.host} redirects to an address of the kind {target.scheme!r}, or with a password in it",
            remedy="Give the address at which the file is.",
        )
    if url.scheme == "https" and target.scheme == "http":
        raise RedirectRefused(
            f"{url.host} redirects from https to http", remedy="Give the address at which the file is."
        )
    return target


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _is_conditional(cursor: sources_pb2.PullCursor) -> bool:
    return bool(cursor.etag or cursor.last_modified)


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds (RFC 9110, 10.2.3): a number, or a date."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def _refusal(host: str, status: int) -> SourceRefuses:
    remedy = "See what the address answers in a browser or with curl."
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        remedy = "See whether the source names a credential, and whether that is still good."
    return SourceRefuses(f"{host} answers {_said(status)}", remedy=remedy, facts={"status": str(status)})


def _said(status: int) -> str:
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"


def _short(validator: str) -> str:
    """A validator as it is kept; one of absurd length is none."""
    return validator if len(validator) <= 512 and validator.isprintable() else ""


def _file_name(response: httpx.Response) -> str:
    """As the server calls it (RFC 6266), else the end of its address."""
    header = Message()
    header["content-disposition"] = response.headers.get("content-disposition", "")
    name = header.get_filename() or unquote(urlsplit(str(response.url)).path.rsplit("/", 1)[-1])
    return "".join(sign for sign in name if sign.isprintable())[-255:] or "file"
