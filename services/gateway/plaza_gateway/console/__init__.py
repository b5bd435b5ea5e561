"""The console for signed-in people: pages on the internal face, made of what the services tell that person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from fastapi import APIRouter
from plaza_design.assets import PREFIX
from plaza_kit.rpc.client import Peers

from plaza_gateway.console.issuer import Issuer
from plaza_gateway.console.over_grpc import OverGrpc
from plaza_gateway.console.routes import console_router
from plaza_gateway.console.sealing import Seal
from plaza_gateway.console.sessions import Sessions
from plaza_gateway.portal.routes import preferences, static
from plaza_gateway.portal.views import Site


class Console:
    """The console of one process. Raises BadConsoleKey when it is made."""

    def __init__(
        self,
        site: Site,
        console_url: str | None,
        issuer: Callable[[], Issuer],
        key_file: Path,
        peers: Peers,
    ) -> None:
        """`issuer` is asked for at the first request."""
        # Its address is not the portal's: departments come by another way.
        self._site = replace(site, base_url=console_url)
        self._portal = site.base_url
        self._seal = Seal.of_file(key_file)
        self._new_issuer = issuer
        self._peers = peers
        self._issuer: Issuer | None = None
        self._sessions: Sessions | None = None

    def router(self, *, alone: bool) -> APIRouter:
        """Routes below `/console`; `alone`: no portal in this process offers assets and preferences."""
        router = APIRouter(include_in_schema=False)
        if alone:
            router.add_route("/preferences", preferences, methods=["POST"])
            router.add_route(f"{PREFIX}/{{digest}}/{{name}}", static, methods=["GET"])
        pages = console_router(
            self._site,
            self._kept,
            self._asked,
            lambda token: OverGrpc(self._peers, token),
            portal=self._portal if alone else "",
        )
        router.include_router(pages)
        return router

    async def aclose(self) -> None:
        """Ends the connections to the issuer."""
        if self._issuer is not None:
            await self._issuer.aclose()

    def _asked(self) -> Issuer:
        # Made at the first request: its connections belong to the loop that serves.
        if self._issuer is None:
            self._issuer = self._new_issuer()
        return self._issuer

    def _kept(self) -> Sessions:
        if self._sessions is None:
            self._sessions = Sessions(self._seal, self._asked())
        return self._sessions
