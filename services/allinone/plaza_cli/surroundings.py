"""What a command gets from outside: HTTP, clock, config directory, and the options that all commands have."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import httpx
import typer

from .client import Api
from .failures import WrongUse
from .output import Output
from .session import SessionStore

DEFAULT_URL = "http://127.0.0.1:8080"

UrlOption = Annotated[
    str | None,
    typer.Option("--url", help=f"Address of the Plaza. [env PLAZA_URL; default {DEFAULT_URL}]"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


def connect(url: str) -> httpx.Client:
    """A client for one Plaza. Proxies of the environment are not asked for this machine's own addresses."""
    timeout = httpx.Timeout(60.0, connect=5.0)
    return httpx.Client(timeout=timeout, trust_env=not _is_loopback(url))


@dataclass(slots=True)
class Surroundings:
    """Replaced as a whole in tests; held in the context of the command line."""

    connect: Callable[[str], httpx.Client] = connect
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    url: str | None = None
    """`--url` before the command's name."""
    as_json: bool = False
    """`--json`, wherever it stood."""


@dataclass(frozen=True, slots=True)
class Plaza:
    """One command's run against one Plaza."""

    surroundings: Surroundings
    url: str
    named: bool
    """Whether somebody named the address, by option or environment."""
    out: Output
    sessions: SessionStore
    http: httpx.Client = field(repr=False)

    @property
    def api(self) -> Api:
        return Api(self.http, self.url, self.sessions, self.surroundings.now)


def surroundings_of(context: typer.Context) -> Surroundings:
    """Those that a test gave, or the real ones."""
    found = context.find_object(Surroundings)
    if found is None:
        found = context.find_root().obj = Surroundings()
        context.obj = found
    return found


def plaza(context: typer.Context, url: str | None, as_json: bool) -> Plaza:
    """The Plaza that a command is about. Raises `WrongUse` for an address that is none."""
    around = surroundings_of(context)
    # Kept for the place where failures are shown, which does not see the command's own options.
    around.as_json = around.as_json or as_json
    named = url or around.url or os.environ.get("PLAZA_URL")
    address = _checked_url(named or DEFAULT_URL)
    sessions = SessionStore(config_directory())
    return Plaza(
        around, address, bool(named), Output(as_json=around.as_json), sessions, around.connect(address)
    )


def config_directory() -> Path:
    """`PLAZA_CONFIG_DIR`, else `~/.config/plaza`."""
    given = os.environ.get("PLAZA_CONFIG_DIR")
    return Path(given) if given else Path.home() / ".config" / "plaza"


def _checked_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid or parts.query or parts.fragment or parts.username or not text.isprintable():
        raise WrongUse(
            f"{text!r} is not the address of a Plaza",
            remedy=f"Give --url (or PLAZA_URL) like {DEFAULT_URL}.",
        )
    return text.rstrip("/")


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
