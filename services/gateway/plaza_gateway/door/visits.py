"""What is asked for, as far as the door must know it."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Literal

from plaza_gateway.transcode.descriptors import Face

Scope = MutableMapping[str, Any]
Kind = Literal["call", "upload", "rows", "page", "free"]
"""`call`: an API request; `upload`: one whose body is a file; `rows`: one that sends rows or files; `page`: of
portal and console; `free`: what costs nothing and must always answer (health, style sheets)."""
_FREE = ("/healthz", "/readyz", "/metrics", "/static/")


@dataclass(frozen=True, slots=True)
class Visit:
    """One request before it is answered."""

    kind: Kind
    face: Face | None
    """Of the route; None where no route of the interface fits."""
    verbs: frozenset[str]
    """HTTP methods of the routes at this address that everybody may read from a page of another site."""
    demands_caller: bool
    """The route answers nobody without a token."""

    @property
    def open_read(self) -> bool:
        """A public read: scripts of other sites may have it."""
        return bool(self.verbs)


@dataclass(frozen=True, slots=True)
class Known:
    """What the interface says of an address."""

    kind: Kind
    face: Face
    reads: bool
    """There is a GET here."""
    demands_caller: bool


Find = Callable[[Scope], Known | None]
"""What stands at the path of a request under the interface, for its method; None for nothing."""
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


def visit_of(scope: Scope, api: str, own: frozenset[str], pages: str, find: Find) -> Visit:
    """What a request asks for. `own`: addresses under `api` that this process answers itself, for everybody;
    `pages`: where pages under `api` begin."""
    path: str = scope["path"]
    if path in own:
        return Visit("call", "public", _READS, demands_caller=False)
    if not path.startswith(f"{api}/") or path == pages or path.startswith(f"{pages}/"):
        kind: Kind = "free" if path.startswith(_FREE) else "page"
        return Visit(kind, None, frozenset(), demands_caller=False)
    known = find(scope)
    if known is None:
        return Visit("call", None, frozenset(), demands_caller=False)
    reads = _READS if known.face == "public" and known.reads else frozenset[str]()
    return Visit(known.kind, known.face, reads, known.demands_caller)
