"""The way to the issuer, where its name leads elsewhere from here."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from plaza_kit.identity.issuer_keys import IssuerMetadata, issuer_client

pytestmark = pytest.mark.integration

ISSUER = "http://id.city.example/realms/plaza"


class Inside(BaseHTTPRequestHandler):
    """An issuer that answers by the name it was asked for."""

    def do_GET(self) -> None:
        base = f"http://{self.headers['host']}/realms/plaza"
        document = {"issuer": base, "jwks_uri": f"{base}/keys", "token_endpoint": f"{base}/token"}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(document).encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def inside() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Inside)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


async def test_another_address_is_connected_to_and_the_name_stays(inside: str) -> None:
    async with issuer_client(ISSUER, inside) as http:
        endpoints = await IssuerMetadata(ISSUER, http).endpoints()
    assert endpoints.token_endpoint == f"{ISSUER}/token"


async def test_other_names_are_not_led_there(inside: str) -> None:
    async with issuer_client(ISSUER, "127.0.0.1:1") as http:
        assert (await http.get(f"http://{inside}/")).status_code == 200
