"""The console's door: log-in and log-out, who somebody is, and the frame around every page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from urllib.parse import urlencode

from plaza_design.i18n import Language, LocalText, negotiate
from plaza_design.pages import Frame, Theme
from plaza_kit.errors import PlazaError
from plaza_kit.identity import IssuerUnavailable
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from plaza_gateway.console import forms, pages, views
from plaza_gateway.console.desk import Desk, each
from plaza_gateway.console.issuer import Issuer, LoginRefused, Pending
from plaza_gateway.console.sessions import Session, Sessions
from plaza_gateway.console.views import Person
from plaza_gateway.console.visits import HOME, NEVER_KEPT, Page, Visit, go, html
from plaza_gateway.portal import addresses
from plaza_gateway.portal.views import Site
from plaza_gateway.transcode.problems import Problem

CALLBACK = "/console/callback"
DEPARTMENT = "department"
"""Name of the cookie, and of the form's field: for which of several departments somebody works."""
_YEAR = 365 * 24 * 3600
_THEMES: Mapping[str, Theme] = {"dark": "dark", "light": "light"}

Clock = Callable[[], datetime]
Body = Literal["none", "form", "file"]


@dataclass(frozen=True, slots=True)
class Door:
    """Lets people in and out. `sessions` and `issuer` are asked for with each request: they belong to the
    running loop. `desk` opens the services for an access token."""

    site: Site
    sessions: Callable[[], Sessions]
    issuer: Callable[[], Issuer]
    desk: Callable[[str], Desk]
    clock: Clock
    portal: str | None = ""

    # Log-in and log-out

    async def login(self, request: Request) -> Response:
        """Sends the browser to the issuer."""
        target = addresses.same_site(request.query_params.get("next", "")) or HOME
        pending = Pending.new(target if target.startswith(HOME) else HOME)
        frame = self._frame(request, None)
        try:
            there = await self.issuer().log_in_at(pending, self._callback(request), frame.language)
        except IssuerUnavailable as error:
            return self._refused(request, frame, Problem.of_error(error))
        response = RedirectResponse(there, 302, NEVER_KEPT)
        self.sessions().begin(response, pending, request.cookies, secure=self._secure(request))
        return response

    async def callback(self, request: Request) -> Response:
        """The browser comes back with a code."""
        asked, frame = request.query_params, self._frame(request, None)
        pending = self.sessions().pending(
            request.cookies, asked.get("state", ""), secure=self._secure(request)
        )
        try:
            if pending is None:
                raise LoginRefused("it was not begun in this browser, or took too long")
            if "code" not in asked or asked.get("iss", self.site_issuer()) != self.site_issuer():
                raise LoginRefused(asked.get("error", "there is no code")[:80])
            tokens = await self.issuer().redeem(asked["code"], pending, self._callback(request))
        except PlazaError as error:
            return self._refused(request, frame, Problem.of_error(error))
        response = RedirectResponse(pending.next, 303, NEVER_KEPT)
        session = Session.new(tokens)
        self.sessions().write(response, session, request.cookies, secure=self._secure(request))
        return response

    async def logout(self, request: Request) -> Response:
        """Ends the session here and at the issuer; asks no service, so that it works whenever those are away."""
        secure, sessions = self._secure(request), self.sessions()
        response: Response = go("/console/signed-out")
        try:
            forms.check_origin(request, self._base_url(request))
            held = await sessions.held(request.cookies, secure=secure)
            if held is not None:
                await forms.read_form(request, held.session)
                await sessions.end(held.session)
        except PlazaError as error:
            response = self._refused(request, self._frame(request, None), Problem.of_error(error))
            if not isinstance(error, IssuerUnavailable):
                return response
        sessions.clear(response, request.cookies, secure=secure)
        return response

    async def signed_out(self, request: Request) -> Response:
        return html(pages.signed_out(self._frame(request, None)))

    def site_issuer(self) -> str:
        """The issuer's name, which its answers carry (RFC 9207)."""
        return self.issuer().name

    # Every page

    def signed_in(self, page: Page, body: Body) -> Callable[[Request], Awaitable[Response]]:
        """The page for those who are signed in; what it must not do for others it does not begin."""

        async def endpoint(request: Request) -> Response:
            frame, secure, sessions = self._frame(request, None), self._secure(request), self.sessions()
            held = None
            try:
                if body != "none":
                    forms.check_origin(request, self._base_url(request))
                held = await sessions.held(request.cookies, secure=secure)
                if held is None:
                    return self._stranger(request, frame)
                response = await self._answer(request, held.session, page, body)
            except PlazaError as error:
                response = self._refused(request, frame, Problem.of_error(error))
            except Problem as problem:
                if problem.status == 401:
                    response = self._stranger(request, frame)
                    sessions.clear(response, request.cookies, secure=secure)
                    return response
                response = self._refused(request, frame, problem)
            if held is not None and held.renewed:
                # Also with a refusal: the old refresh token is spent.
                sessions.write(response, held.session, request.cookies, secure=secure)
            chosen = request.query_params.get("lang")
            if chosen in tuple(Language):
                response.set_cookie("lang", chosen, max_age=_YEAR, samesite="lax", secure=secure)
            return response

        return endpoint

    async def _answer(self, request: Request, session: Session, page: Page, body: Body) -> Response:
        form = await forms.read_form(request, session) if body == "form" else {}
        desk = self.desk(session.tokens.access)
        person = await self._person(desk, request.cookies.get(DEPARTMENT, ""))
        frame = self._frame(request, person)
        visit = Visit(request, session, desk, person, frame, form, self.portal)
        if not person.department:
            return html(pages.homeless(visit), 403)
        try:
            return await page(visit)
        except (Problem, PlazaError) as error:
            problem = error if isinstance(error, Problem) else Problem.of_error(error)
            if problem.status == 401:
                raise problem from error
            return html(pages.refused(frame, problem, visit), problem.status)

    async def _person(self, desk: Desk, chosen: str) -> Person:
        caller = await desk.caller()
        # What a cookie says counts only as a choice between what the services say.
        mine = tuple(caller.departments)
        department = f"departments/{chosen}" if f"departments/{chosen}" in mine else next(iter(mine), "")
        titles = dict(await each([self._titled(desk, name) for name in mine]))
        return Person(
            name=caller.display_name or caller.username,
            username=caller.username,
            department=views.last(department),
            department_title=titles.get(views.last(department), LocalText("")),
            roles=tuple(caller.roles),
            departments=titles,
        )

    async def _titled(self, desk: Desk, name: str) -> tuple[str, LocalText]:
        id_ = views.last(name)
        try:
            found = await desk.department(name)
        except Problem as problem:
            if problem.status != 404:
                raise
            return id_, LocalText(id_)
        return id_, LocalText(found.display_name, found.display_name_en) or LocalText(id_)

    async def work_for(self, visit: Visit) -> Response:
        """Somebody of several departments chooses the one to work for."""
        chosen = visit.form.get(DEPARTMENT, "")
        if chosen not in visit.person.departments:
            raise Problem(403, "NOT_YOUR_DEPARTMENT", f"you do not belong to departments/{chosen[:80]}")
        response = go(HOME)
        response.set_cookie(
            DEPARTMENT,
            chosen,
            max_age=_YEAR,
            samesite="lax",
            httponly=True,
            secure=self._secure(visit.request),
        )
        return response

    # Parts

    def _stranger(self, request: Request, frame: Frame) -> Response:
        if request.method == "GET" and not request.url.path.endswith("/events"):
            here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/console/login?{urlencode({'next': here})}", 302, NEVER_KEPT)
        return html(pages.session_over(frame), 401)

    def _refused(self, request: Request, frame: Frame, problem: Problem) -> HTMLResponse:
        return html(pages.refused(frame, problem), problem.status)

    def _frame(self, request: Request, person: Person | None) -> Frame:
        language = negotiate(
            request.headers.get("accept-language"),
            request.query_params.get("lang") or request.cookies.get("lang"),
        )
        query = [(k, v) for k, v in request.query_params.multi_items() if k not in ("lang", "code", "state")]
        here = request.url.path + (f"?{urlencode(query)}" if query else "")
        switch = f"{request.url.path}?{urlencode([*query, ('lang', str(language.other))])}"
        theme = _THEMES.get(request.cookies.get("theme", ""))
        return Frame(
            words=pages.translators()[language],
            now=self.clock(),
            here=here,
            home=HOME,
            theme=theme,
            switch_href=switch,
            canonical=here,
            alternate=switch,
            place=person.department_title if person is not None else self.site.city or None,
            owner=self.site.owner or None,
            search_action="/console/datasets" if person is not None and person.department else None,
            search_words=request.query_params.get("q", "")[:200],
        )

    def _base_url(self, request: Request) -> str:
        base = self.site.base_url
        return base if base is not None else str(request.base_url).rstrip("/")

    def _callback(self, request: Request) -> str:
        return self._base_url(request) + CALLBACK

    def _secure(self, request: Request) -> bool:
        return self._base_url(request).startswith("https://")
