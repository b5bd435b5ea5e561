"""Static files with their content hash in the address, so that caches may keep them for ever."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache

from plaza_design import STATIC

PREFIX = "/static"
"""Path under which the server offers the assets."""

IMMUTABLE = "public, max-age=31536000, immutable"
"""`Cache-Control` of an asset: its address changes when its bytes do."""

_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class UnknownAssetError(LookupError):
    """A page asks for a file that the package does not have; the message lists those it has."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(f"no static file {name!r}; there are: {', '.join(known)}")
        self.name = name


@dataclass(frozen=True, slots=True)
class Asset:
    """One static file, held in memory (all of them together are some 60 kB)."""

    name: str
    media_type: str
    digest: str
    """First 16 hexadecimal digits of the SHA-256 of the bytes."""
    body: bytes

    @property
    def url(self) -> str:
        """Where the server offers it."""
        return f"{PREFIX}/{self.digest}/{self.name}"


@cache
def assets() -> dict[str, Asset]:
    """All assets by name, read once per process."""
    found: dict[str, Asset] = {}
    for path in sorted(STATIC.iterdir()):
        media_type = _MEDIA_TYPES.get(path.suffix)
        if media_type is None:
            continue
        body = path.read_bytes()
        found[path.name] = Asset(path.name, media_type, hashlib.sha256(body).hexdigest()[:16], body)
    return found


def static_url(name: str) -> str:
    """The address of the asset `name`, with its hash. Raises `UnknownAssetError`."""
    known = assets()
    if name not in known:
        raise UnknownAssetError(name, tuple(known))
    return known[name].url


def find_asset(digest: str, name: str) -> Asset | None:
    """The asset at an address, or `None` when there is no such name or its bytes have another hash."""
    asset = assets().get(name)
    return asset if asset is not None and asset.digest == digest else None
