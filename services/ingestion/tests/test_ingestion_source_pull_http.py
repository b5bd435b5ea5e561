"""Files from a real HTTP server on loopback: conditional, resumed, redirected, and everything that goes wrong."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from plaza.ingestion.v1 import sources_pb2
from plaza_ingestion.worker import pull_http, pull_network
from plaza_ingestion.worker.gunzip import BrokenGzip, Gunzip
from plaza_ingestion.worker.pull_network import ForbiddenAddress, is_forbidden
from plaza_ingestion.worker.pull_secrets import CredentialMissing, Secrets
from plaza_ingestion.worker.pulled_file import PullCancelled, Pulled, PulledFile, SourceTooLarge

pytestmark = pytest.mark.integration

Web = Any
BODY = b"Station,Hour\n" + b"".join(b"a,%d\n" % n for n in range(20_000))


class Puller:
    """The worker's part, with pauses that take no time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pauses: list[float] = []
        self.cancelled: Callable[[], bool] = lambda: False

    def __call__(
        self, url: str, cursor: Any = None, limit: int = 1 << 30, **fields: Any
    ) -> tuple[Pulled, bytes]:
        path = self.folder / "pulled"
        with PulledFile(path, limit, progress=lambda _: None, cancelled=self.cancelled) as file:
            pulled = pull_http.fetch(
                sources_pb2.HttpConnector(url=url, **fields),
                cursor or sources_pb2.PullCursor(),
                Secrets(self.folder),
                file,
                pause=self.pauses.append,
            )
        return pulled, path.read_bytes()


@pytest.fixture
def puller(tmp_path: Path) -> Puller:
    return Puller(tmp_path)


def redirect(web: Web, *targets: str) -> None:
    """The first address sends to the next, and so on; the last one gives the file."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        at = int(request.path.rpartition("/")[2] or 0)
        if at < len(targets):
            request.send_response(302)
            request.send_header("Location", targets[at])
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        send(request, BODY)

    web.answer = answer


def send(
    request: BaseHTTPRequestHandler, body: bytes, status: int = 200, upto: int | None = None, **headers: str
) -> None:
    """With `upto` the connection is cut behind so many bytes."""
    request.send_response(status)
    for name, value in ({"Content-Length": str(len(body))} | headers).items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(body[:upto])
    if upto is not None:
        request.close_connection = True


def test_a_file_with_its_validators(web: Web, puller: Puller) -> None:
    web.give(BODY, ETag='"a"', Content_Disposition="attachment; filename*=UTF-8''%E7%A9%BA%E6%B0%94.csv")
    pulled, data = puller(f"{web.url}/x")
    assert data == BODY
    assert pulled.sha256 == pulled.cursor.sha256 == hashlib.sha256(BODY).hexdigest()
    assert (pulled.file_name, pulled.cursor.etag, pulled.size_bytes) == ("空气.csv", '"a"', len(BODY))
    web.give(b"", 304)
    assert puller(f"{web.url}/x", pulled.cursor)[0].not_modified
    assert web.asked[-1][1]["if-none-match"] == '"a"'
    with pytest.raises(pull_http.SourceRefuses, match="304"):
        puller(f"{web.url}/x")


def test_headers_and_a_secret(web: Web, puller: Puller) -> None:
    web.give(BODY)
    (puller.folder / "token").write_text("Bearer s3cret\n")
    puller(f"{web.url}/x?a=b", headers={"Accept": "text/csv"}, credential="token")
    path, headers = web.asked[-1]
    assert (path, headers["accept"], headers["authorization"]) == ("/x?a=b", "text/csv", "Bearer s3cret")
    puller(f"{web.url}/x", credential="token", credential_header="X-Key")
    assert web.asked[-1][1]["x-key"] == "Bearer s3cret"
    with pytest.raises(CredentialMissing, match="nobody") as missing:
        puller(f"{web.url}/x", credential="nobody")
    assert str(puller.folder) not in missing.value.message
    (puller.folder / "token").write_text("two\nlines")
    with pytest.raises(pull_http.BadCredential) as bad:
        puller(f"{web.url}/x", credential="token")
    assert "lines" not in bad.value.message


def test_redirects(web: Web, puller: Puller, monkeypatch: pytest.MonkeyPatch) -> None:
    redirect(web, "1", f"{web.url}/2", "3", "4", "5")
    assert puller(f"{web.url}/0")[1] == BODY
    redirect(web, "1", "2", "3", "4", "5", "6")
    with pytest.raises(pull_http.RedirectRefused, match="more than 5"):
        puller(f"{web.url}/0")
    for target in ("ftp://example.org/", "file:///etc/passwd", "http://u:p@example.org/", "", "http://"):
        redirect(web, target)
        with pytest.raises(pull_http.RedirectRefused):
            puller(f"{web.url}/0")
    # What is meant for one host is not sent to another.
    (puller.folder / "token").write_text("s3cret")
    port = web.url.rpartition(":")[2]
    redirect(web, f"http://localhost:{port}/1")
    puller(f"{web.url}/0", headers={"X-Tenant": "t"}, credential="token")
    first, second = web.asked[-2:]
    assert (first[1]["authorization"], first[1]["x-tenant"]) == ("s3cret", "t")
    assert not {"authorization", "x-tenant"} & set(second[1])


def test_no_way_from_https_to_http() -> None:
    import httpx

    with pytest.raises(pull_http.RedirectRefused, match="https to http"):
        pull_http._redirected(httpx.URL("https://a.example/x"), "http://a.example/x")
    assert str(pull_http._redirected(httpx.URL("http://a.example/x"), "https://a.example/x")).startswith(
        "https"
    )


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "100.100.100.200", "[fd00:ec2::254]"]
)
def test_metadata_services_are_no_sources(web: Web, puller: Puller, host: str) -> None:
    with pytest.raises(ForbiddenAddress):
        puller(f"http://{host}/latest/meta-data")
    redirect(web, f"http://{host}/latest/meta-data")
    with pytest.raises(ForbiddenAddress):
        puller(f"{web.url}/0")
    assert not puller.pauses


def test_a_name_is_looked_at_when_it_is_connected_to(puller: Puller, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: Any, **__: Any) -> Any:
        return [(None, None, None, "", ("169.254.0.23", 80))]

    monkeypatch.setattr(pull_network.socket, "getaddrinfo", resolve)
    with pytest.raises(ForbiddenAddress):
        puller("http://harmless.example/")


def test_addresses() -> None:
    assert all(map(is_forbidden, ["169.254.1.1", "fe80::1%eth0", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"]))
    assert not any(map(is_forbidden, ["127.0.0.1", "10.0.0.1", "::1", "2001:db8::1", "64:ff9b::a00:1"]))


def test_a_cut_connection_goes_on_where_it_broke_off(web: Web, puller: Puller) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        if wanted is None:
            send(request, BODY, upto=70_000, ETag='"a"')
            return
        assert request.headers["If-Range"] == '"a"'
        begin = int(wanted.removeprefix("bytes=").rstrip("-"))
        range_given = f"bytes {begin}-{len(BODY) - 1}/{len(BODY)}"
        cut = None if begin > 70_000 else 30_000
        send(request, BODY[begin:], 206, upto=cut, ETag='"a"', Content_Range=range_given)

    web.answer = answer
    pulled, data = puller(f"{web.url}/x")
    assert data == BODY
    assert pulled.sha256 == hashlib.sha256(BODY).hexdigest()
    assert [headers.get("range") is None for _, headers in web.asked] == [True, False, False]


@pytest.mark.parametrize("etag", ["", 'W/"a"', '"a"'])
def test_a_file_that_changed_meanwhile_begins_anew(web: Web, puller: Puller, etag: str) -> None:
    other = BODY[::-1]

    def answer(request: BaseHTTPRequestHandler) -> None:
        if len(web.asked) == 1:
            send(request, BODY, upto=70_000, **({"ETag": etag} if etag else {}))
        else:
            send(request, other, ETag='"b"')

    web.answer = answer
    pulled, data = puller(f"{web.url}/x")
    assert (data, pulled.cursor.etag) == (other, '"b"')
    assert ("range" in web.asked[-1][1]) == (etag == '"a"')


@pytest.mark.parametrize(("status", "given"), [(206, "bytes 5-10/20"), (416, "bytes */9")])
def test_a_server_that_goes_on_wrongly(web: Web, puller: Puller, status: int, given: str) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        if len(web.asked) == 1:
            send(request, BODY, upto=70_000, ETag='"a"')
        elif "Range" in request.headers:
            send(request, b"wrong!", status, Content_Range=given)
        else:
            send(request, BODY)

    web.answer = answer
    assert puller(f"{web.url}/x")[1] == BODY


def test_a_source_that_breaks_off_each_time(web: Web, puller: Puller) -> None:
    web.answer = lambda request: send(request, BODY, upto=10)
    with pytest.raises(pull_http.SourceAway, match="5 tries"):
        puller(f"{web.url}/x")
    assert len(web.asked) == 5


def test_a_busy_source_is_waited_for(web: Web, puller: Puller) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        if len(web.asked) == 1:
            send(request, b"", 429, Retry_After="3")
        else:
            send(request, BODY)

    web.answer = answer
    assert puller(f"{web.url}/x")[1] == BODY
    assert sum(puller.pauses) == pytest.approx(3)
    web.give(b"", 503, Retry_After="86400")
    with pytest.raises(pull_http.SourceAway, match="503"):
        puller(f"{web.url}/x")


@pytest.mark.parametrize("status", [204, 206, 400, 401, 403, 404, 500, 600])
def test_answers_that_are_no_file(web: Web, puller: Puller, status: int) -> None:
    web.give(b"" if status == 204 else b"no", status)
    with pytest.raises(pull_http.SourceRefuses, match=str(status)):
        puller(f"{web.url}/x")
    assert len(web.asked) == 1


def test_nobody_there(puller: Puller) -> None:
    with pytest.raises(pull_http.SourceAway):
        puller("http://127.0.0.1:1/x")
    with pytest.raises(pull_http.SourceAway):
        puller("http://nowhere.invalid/x")


@pytest.mark.parametrize("told", [True, False])
def test_too_large(web: Web, puller: Puller, told: bool) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        if told:
            request.send_header("Content-Length", str(len(BODY)))
        else:
            request.close_connection = True
        request.end_headers()
        with suppress(OSError):  # the worker may have hung up
            request.wfile.write(BODY)

    web.answer = answer
    with pytest.raises(SourceTooLarge):
        puller(f"{web.url}/x", limit=len(BODY) - 1)
    assert puller(f"{web.url}/x", limit=len(BODY))[1] == BODY


def test_gzip_is_taken_off_and_counted_decoded(web: Web, puller: Puller) -> None:
    web.give(gzip.compress(BODY[:1000]) + gzip.compress(BODY[1000:]), Content_Encoding="gzip")
    assert puller(f"{web.url}/x")[1] == BODY
    bomb = gzip.compress(bytes(200_000_000))
    web.give(bomb, Content_Encoding="gzip")
    with pytest.raises(SourceTooLarge):
        puller(f"{web.url}/x", limit=len(bomb) * 2)
    for body in (gzip.compress(BODY)[:-3], b"no gzip"):
        web.give(body, Content_Encoding="gzip")
        with pytest.raises(pull_http.SourceRefuses, match="gzip"):
            puller(f"{web.url}/x")
    web.give(BODY, Content_Encoding="br")
    with pytest.raises(pull_http.SourceRefuses, match="br"):
        puller(f"{web.url}/x")
    web.give(b"")
    with pytest.raises(pull_http.SourceRefuses, match="empty"):
        puller(f"{web.url}/x")


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_gunzip_in_pieces(size: int) -> None:
    packed = gzip.compress(b"x" * 5_000_000) + gzip.compress(b"") + gzip.compress(BODY)
    gunzip, out = Gunzip(), []
    for at in range(0, len(packed), size):
        out += gunzip.feed(packed[at : at + size])
    gunzip.end()
    assert b"".join(out) == b"x" * 5_000_000 + BODY
    assert max(map(len, out)) <= 1 << 20
    cut = Gunzip()
    list(cut.feed(packed[:-1]))
    with pytest.raises(BrokenGzip):
        cut.end()


def test_a_cancelled_pull_stops(web: Web, puller: Puller) -> None:
    web.give(BODY)
    puller.cancelled = lambda: True
    with pytest.raises(PullCancelled):
        puller(f"{web.url}/x")
