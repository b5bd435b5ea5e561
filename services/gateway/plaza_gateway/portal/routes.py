"""The portal's addresses: what was asked, asked of the source, and answered as a page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import parse_qs

from fastapi import APIRouter
from plaza_design.assets import IMMUTABLE, PREFIX, find_asset
from plaza_design.headers import PAGE_HEADERS
from plaza_design.i18n import Language, negotiate
from plaza_design.pages import Frame, Link, LinkGroup, Theme
from plaza_kit.errors import PlazaError
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response

from plaza_gateway.portal import addresses, asked, pages
from plaza_gateway.portal.source import PortalSource
from plaza_gateway.portal.views import Site, TombstoneView
from plaza_gateway.transcode.problems import Problem

_YEAR = 365 * 24 * 3600
_LONGEST_FORM = 8_192

Page = Callable[[Request, Language], Awaitable[Response]]
Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


def portal_router(source: PortalSource, site: Site, clock: Clock = _now) -> APIRouter:
    """Routes of the portal: `/`, `/zh/…`, `/en/…`, `/preferences`, `/static/…`; none is in the OpenAPI.

    Every other path below `/zh/` and `/en/` is answered with the 404 page.
    """
    portal = _Portal(source, site, clock)
    router = APIRouter(include_in_schema=False)
    router.add_route("/", portal.front, methods=["GET"])
    router.add_route("/preferences", preferences, methods=["POST"])
    router.add_route(f"{PREFIX}/{{digest}}/{{name}}", static, methods=["GET"])
    for language in Language:
        for path, page in (
            ("/", portal.home),
            ("/datasets", portal.search),
            ("/suggest", portal.suggest),
            ("/datasets/{department}/{dataset}", portal.dataset),
            ("/datasets/{department}/{dataset}/releases/{release:int}", portal.dataset),
            ("/{rest:path}", portal.nowhere),
        ):
            router.add_route(f"/{language.prefix}{path}", portal.shown(page, language), methods=["GET"])
    return router


def error_response(request: Request, site: Site, status: int, now: datetime | None = None) -> HTMLResponse:
    """An error page for handlers of the whole application, in the language of the path or of the reader."""
    language = _language(request)
    frame = _frame(request, language, site, now or _now())
    return _html(pages.error_page(replace(frame, search_action=addresses.datasets(language)), status), status)


async def static(request: Request) -> Response:
    """An asset at its hashed address; 404 when its bytes are not those."""
    asset = find_asset(request.path_params["digest"], request.path_params["name"])
    if asset is None:
        return PlainTextResponse("no such file", 404)
    headers = {"Cache-Control": IMMUTABLE, "X-Content-Type-Options": "nosniff"}
    return Response(asset.body, media_type=asset.media_type, headers=headers)


async def preferences(request: Request) -> Response:
    """Keeps the theme and the language in cookies; goes back to a page of this site, never elsewhere."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_FORM:
            return PlainTextResponse("the form is too long", 413)
    form = parse_qs(body.decode("utf-8", "replace"))
    chosen = {name: values[-1] for name, values in form.items()}
    target = addresses.same_site(chosen.get("next", "")) or "/"
    lang = chosen.get("lang")
    if lang in tuple(Language):
        target = addresses.in_language(target, Language(lang))
    response = RedirectResponse(target, 303, {"Cache-Control": "no-store"})
    kept = {"theme": ("light", "dark"), "lang": tuple(Language)}
    for name, allowed in kept.items():
        if chosen.get(name) in allowed:
            response.set_cookie(
                name, chosen[name], max_age=_YEAR, samesite="lax", secure=request.url.scheme == "https"
            )
    return response


@dataclass(frozen=True, slots=True)
class _Portal:
    source: PortalSource
    site: Site
    clock: Clock

    def shown(self, page: Page, language: Language) -> Callable[[Request], Awaitable[Response]]:
        """The page in a fixed language, with our errors as pages too."""

        async def endpoint(request: Request) -> Response:
            try:
                return await page(request, language)
            except PlazaError as error:
                return error_response(request, self.site, error.http_status, self.clock())
            except Problem as problem:
                response = error_response(request, self.site, problem.status, self.clock())
                response.headers.update(problem.headers)
                return response

        return endpoint

    async def front(self, request: Request) -> Response:
        """Sends the reader to the front page in their language."""
        headers = {"Vary": "Cookie, Accept-Language", "Cache-Control": "private, no-cache"}
        return RedirectResponse(addresses.home(_language(request)), 302, headers)

    async def home(self, request: Request, language: Language) -> Response:
        view = await self.source.home()
        frame = self._frame(request, language, in_data=False)
        return _html(pages.home_page(frame, view, self._base_url(request)))

    async def search(self, request: Request, language: Language) -> Response:
        query = asked.search_query(request.query_params)
        view = await self.source.search(query)
        frame = replace(self._frame(request, language), search_words=query.words)
        return _html(pages.search_page(frame, query, view))

    async def suggest(self, request: Request, language: Language) -> Response:
        typed = asked.search_query(request.query_params).words
        titles = [title.said(language).text for title in await self.source.suggest(typed)]
        return JSONResponse(
            titles, headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        )

    async def dataset(self, request: Request, language: Language) -> Response:
        at = request.path_params
        query, as_form = asked.rows_query(request.query_params)
        if as_form and "release" in at:
            here = addresses.rows(language, at["department"], at["dataset"], at["release"], query)
            return RedirectResponse(f"{here}#rows", 303, {"Cache-Control": "no-store"})
        view = await self.source.dataset(at["department"], at["dataset"], at.get("release"), query)
        frame = self._frame(request, language)
        if isinstance(view, TombstoneView):
            return _html(pages.tombstone_page(frame, view), 410)
        status = 400 if view.found is not None and view.found.problem else 200
        return _html(pages.dataset_page(frame, view, query, self._base_url(request)), status)

    async def nowhere(self, request: Request, language: Language) -> Response:
        return error_response(request, self.site, 404, self.clock())

    def _frame(self, request: Request, language: Language, in_data: bool = True) -> Frame:
        frame = _frame(request, language, self.site, self.clock())
        if not in_data:
            return frame
        nav = tuple(replace(link, current=i == 0) for i, link in enumerate(frame.nav))
        return replace(
            frame,
            nav=nav,
            search_action=addresses.datasets(language),
            suggest_action=addresses.suggestions(language),
        )

    def _base_url(self, request: Request) -> str:
        return _base_url(request, self.site)


def _frame(request: Request, language: Language, site: Site, now: datetime) -> Frame:
    words = pages.translators()[language]
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    base = _base_url(request, site)
    elsewhere = addresses.in_language(here, language.other)
    data = addresses.datasets(language)
    return Frame(
        words=words,
        now=now,
        here=here,
        home=addresses.home(language),
        theme=_theme(request.cookies.get("theme")),
        switch_href=elsewhere,
        canonical=base + here,
        alternate=base + elsewhere,
        nav=(Link(data, words.text("nav.data")), Link(site.api_description, words.text("nav.api"))),
        footer=(
            LinkGroup(words.text("foot.data"), (Link(data, words.text("foot.all")),)),
            LinkGroup(words.text("foot.developers"), (Link(site.api_description, words.text("foot.api")),)),
        ),
        place=site.city or None,
        owner=site.owner or None,
    )


def _base_url(request: Request, site: Site) -> str:
    return site.base_url if site.base_url is not None else str(request.base_url).rstrip("/")


def _language(request: Request) -> Language:
    first = request.url.path.split("/")[1] if request.url.path.startswith("/") else ""
    for language in Language:
        if first == language.prefix:
            return language
    return negotiate(request.headers.get("accept-language"), request.cookies.get("lang"))


def _theme(cookie: str | None) -> Theme | None:
    return "dark" if cookie == "dark" else "light" if cookie == "light" else None


def _html(body: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(body, status, headers=dict(PAGE_HEADERS))
