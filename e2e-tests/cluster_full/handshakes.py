"""Knocks at the services' gRPC ports in every way that must be refused, and in the one that must not.

Runs in the internal gateway's pod, the one place that the network lets near all of them; reads what to try from its
input, as JSON. TLS by Python's own library, not by gRPC: what a stranger would bring is not what Plaza's client does.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import tempfile
from pathlib import Path
from typing import Any

HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""HTTP/2's preface and empty SETTINGS (RFC 9113, section 3.4)."""
SETTINGS = 4
SECONDS = 5


def served(connection: socket.socket) -> str:
    """A server answers the preface with SETTINGS of its own, once it has accepted whoever calls."""
    connection.sendall(HELLO)
    answer = connection.recv(64)
    if len(answer) < 9 or answer[3] != SETTINGS:
        return f"refused: {'closed' if not answer else answer[:16].hex()}"
    version = connection.version() if isinstance(connection, ssl.SSLSocket) else "plain"
    return f"served: {version}"


def knock(host: str, how: dict[str, Any], folder: Path) -> str:
    """One attempt. `how`: `plain`, or the certificate to show, whom to trust, and the newest TLS version to speak."""
    try:
        with socket.create_connection((host, 50051), timeout=SECONDS) as raw:
            if how.get("plain"):
                return served(raw)
            context = ssl.create_default_context(cadata=how["authority"])
            context.set_alpn_protocols(["h2"])
            if how.get("newest") == "1.2":
                context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
            if "certificate" in how:
                (folder / "crt").write_text(how["certificate"])
                (folder / "key").write_text(how["key"])
                context.load_cert_chain(folder / "crt", folder / "key")
            with context.wrap_socket(raw, server_hostname=host) as secured:
                return served(secured)
    except OSError as error:  # ssl.SSLError is one
        return f"refused: {getattr(error, 'reason', None) or error}"


def main() -> None:
    order = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as folder:
        found = {
            host: {name: knock(host, how, Path(folder)) for name, how in order["ways"].items()}
            for host in order["hosts"]
        }
    print(json.dumps(found))


main()
