"""The addresses of the documentation: `/api/v1/docs`, in each language the list and a page for each operation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter
from jinja2 import Environment
from plaza_design.headers import PAGE_HEADERS
from plaza_design.i18n import LOCALES, Language, Translator, load_translators, negotiate
from plaza_design.pages import Frame, Link, environment, render
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from plaza_gateway.portal.views import Site
from plaza_gateway.reference.model import Reference, reference_of
from plaza_gateway.reference.prose import breakable, inline, prose

_HERE = Path(__file__).resolve().parent
LONGEST_WORDS = 200
"""Characters of a search that are used."""


def reference_router(
    document: Mapping[str, Any], site: Site, base: str, description: str, *, portal: bool
) -> APIRouter:
    """Pages of a document. `base`: the path they stand under; `description`: the address of the document itself;
    `portal`: this process has the portal's pages too."""
    pages = _Pages(document, site, base, description, portal)
    router = APIRouter(include_in_schema=False)
    router.add_route(base, pages.front, methods=["GET"])
    for language in Language:
        here = f"{base}/{language.prefix}"
        router.add_route(here, pages.said(pages.index, language), methods=["GET"])
        router.add_route(f"{here}/{{operation}}", pages.said(pages.operation, language), methods=["GET"])
    return router


@cache
def translators() -> dict[Language, Translator]:
    """The words of these pages and of the design language, read once per process."""
    return load_translators((LOCALES, _HERE / "locales"))


@cache
def templates() -> Environment:
    """The templates of these pages."""
    env = environment(_HERE / "templates")
    env.filters.update(prose=prose, inline=inline, breakable=breakable)
    return env


Page = Callable[[Request, Language], Response]


@dataclass(frozen=True)
class _Pages:
    document: Mapping[str, Any]
    site: Site
    base: str
    description: str
    portal: bool

    @cached_property
    def reference(self) -> Reference:
        """Made when first asked for: the process starts without."""
        return reference_of(self.document)

    def said(self, page: Page, language: Language) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            return page(request, language)

        return endpoint

    async def front(self, request: Request) -> Response:
        """Sends the reader to the pages in their language."""
        language = negotiate(request.headers.get("accept-language"), request.cookies.get("lang"))
        headers = {"Vary": "Cookie, Accept-Language", "Cache-Control": "private, no-cache"}
        return RedirectResponse(f"{self.base}/{language.prefix}", 302, headers)

    def index(self, request: Request, language: Language) -> Response:
        """All operations by service, or those that hold the words that are looked for."""
        words = " ".join(request.query_params.get("q", "").split())[:LONGEST_WORDS]
        frame = self._frame(request, language, "", words)
        found = self.reference.found(words) if words else self.reference.services
        return self._html("index.html", frame, services=found, words=words)

    def operation(self, request: Request, language: Language) -> Response:
        """One operation."""
        found = self.reference.operation(request.path_params["operation"])
        if found is None:
            return self._html("nothing.html", self._frame(request, language), status=404)
        frame = self._frame(request, language, f"/{found.id}")
        curl = found.curl.replace("{base}", self._address(request))
        return self._html("operation.html", frame, operation=found, curl=curl)

    def _html(self, template: str, frame: Frame, *, status: int = 200, **values: object) -> Response:
        body = render(
            templates(),
            template,
            frame,
            reference=self.reference,
            docs=f"{self.base}/{frame.language.prefix}",
            description=self.description,
            **values,
        )
        return HTMLResponse(body, status, headers=dict(PAGE_HEADERS))

    def _address(self, request: Request) -> str:
        return self.site.base_url if self.site.base_url is not None else str(request.base_url).rstrip("/")

    def _frame(self, request: Request, language: Language, below: str = "", search: str = "") -> Frame:
        words = translators()[language]
        asked = f"?{urlencode({'q': search})}" if search else ""
        here = f"{self.base}/{language.prefix}{below}{asked}"
        elsewhere = f"{self.base}/{language.other.prefix}{below}{asked}"
        theme = request.cookies.get("theme")
        nav = [Link(f"{self.base}/{language.prefix}", words.text("reference.nav"), current=True)]
        if self.portal:
            nav.insert(0, Link(f"/{language.prefix}/datasets", words.text("reference.data")))
        return Frame(
            words=words,
            now=datetime.now(UTC),
            here=here,
            home=f"/{language.prefix}/" if self.portal else f"{self.base}/{language.prefix}",
            theme="dark" if theme == "dark" else "light" if theme == "light" else None,
            switch_href=elsewhere,
            canonical=self._address(request) + here,
            alternate=self._address(request) + elsewhere,
            nav=tuple(nav),
            place=self.site.city or None,
            owner=self.site.owner or None,
        )
