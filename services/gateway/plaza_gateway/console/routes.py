"""The console's addresses below `/console`: log-in, pages, forms. Everything comes from the services by way of
the person's own token; what they refuse is said on the page.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote, urlencode

import orjson
from fastapi import APIRouter
from plaza.ingestion.v1 import ingestion_pb2 as ing
from plaza_design.i18n import Language, LocalText, negotiate
from plaza_design.pages import Frame, Theme
from plaza_kit.errors import PlazaError
from plaza_kit.identity import IssuerUnavailable
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from plaza_gateway.console import contract_form, forms, pages, views
from plaza_gateway.console.contract_form import Draft
from plaza_gateway.console.desk import Desk, each
from plaza_gateway.console.issuer import Issuer, LoginRefused, Pending
from plaza_gateway.console.sessions import Session, Sessions
from plaza_gateway.console.views import Person
from plaza_gateway.portal import addresses
from plaza_gateway.portal.views import Site
from plaza_gateway.transcode.problems import Complaint, Problem

HOME = "/console/"
CALLBACK = "/console/callback"
QUARANTINE_PAGE = 50
NEVER_KEPT = {"Cache-Control": "no-store"}
_YEAR = 365 * 24 * 3600

_THEMES: Mapping[str, Theme] = {"dark": "dark", "light": "light"}

Clock = Callable[[], datetime]
Body = Literal["none", "form", "file"]


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of somebody who is signed in."""

    request: Request
    session: Session
    desk: Desk
    person: Person
    frame: Frame
    form: Mapping[str, str] = field(default_factory=dict)

    @property
    def department(self) -> str:
        """Resource name of the person's department."""
        return f"departments/{self.person.department}"

    @property
    def dataset(self) -> str:
        """Resource name of the dataset in the address."""
        return f"{self.department}/datasets/{self.request.path_params['dataset']}"

    @property
    def run(self) -> str:
        """Resource name of the run in the address."""
        return f"{self.department}/runs/{self.request.path_params['run']}"


Page = Callable[[Visit], Awaitable[Response]]


def console_router(
    site: Site,
    sessions: Callable[[], Sessions],
    issuer: Callable[[], Issuer],
    desk: Callable[[str], Desk],
    clock: Clock = lambda: datetime.now(UTC),
) -> APIRouter:
    """Routes below `/console`; none is in the OpenAPI. `sessions` and `issuer` are asked for with each request:
    they belong to the running loop. `desk` opens the services for an access token."""
    console = _Console(site, sessions, issuer, desk, clock)
    router = APIRouter(include_in_schema=False)
    router.add_route("/console", console.front, methods=["GET"])
    router.add_route("/console/login", console.login, methods=["GET"])
    router.add_route(CALLBACK, console.callback, methods=["GET"])
    router.add_route("/console/signed-out", console.signed_out, methods=["GET"])
    router.add_route("/console/logout", console.logout, methods=["POST"])
    one = "/console/datasets/{dataset}"
    shown: tuple[tuple[str, Page], ...] = (
        (HOME, console.inbox),
        ("/console/datasets", console.datasets),
        (one, console.dataset),
        (f"{one}/load", console.load_form),
        (f"{one}/quarantine", console.quarantine),
        (f"{one}/quarantine/export", console.export),
        ("/console/register", console.register_form),
        ("/console/register/{run}", console.contract),
        ("/console/runs/{run}", console.run),
        ("/console/runs/{run}/events", console.events),
        ("/console/{rest:path}", console.nowhere),
    )
    for path, page in shown:
        router.add_route(path, console.signed_in(page, "none"), methods=["GET"])
    sent: tuple[tuple[str, Page, Body], ...] = (
        (f"{one}/load", console.load, "file"),
        (f"{one}/release", console.release, "form"),
        ("/console/register", console.infer, "file"),
        ("/console/register/{run}", console.register, "form"),
    )
    for path, page, body in sent:
        router.add_route(path, console.signed_in(page, body), methods=["POST"])
    return router


@dataclass(frozen=True, slots=True)
class _Console:
    site: Site
    sessions: Callable[[], Sessions]
    issuer: Callable[[], Issuer]
    desk: Callable[[str], Desk]
    clock: Clock

    # Log-in and log-out

    async def front(self, request: Request) -> Response:
        return RedirectResponse(HOME, 302, NEVER_KEPT)

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
        response: Response = _go("/console/signed-out")
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
        return self._html(request, pages.signed_out(self._frame(request, None)))

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
        person = await self._person(desk)
        frame = self._frame(request, person)
        visit = Visit(request, session, desk, person, frame, form)
        if not person.department:
            return self._html(request, pages.homeless(visit), 403)
        try:
            return await page(visit)
        except (Problem, PlazaError) as error:
            problem = error if isinstance(error, Problem) else Problem.of_error(error)
            if problem.status == 401:
                raise problem from error
            return self._html(request, pages.refused(frame, problem, visit), problem.status)

    async def _person(self, desk: Desk) -> Person:
        caller = await desk.caller()
        department = next(iter(caller.departments), "")
        title = LocalText("")
        if department:
            try:
                found = await desk.department(department)
                title = LocalText(found.display_name, found.display_name_en)
            except Problem as problem:
                if problem.status != 404:
                    raise
        return Person(
            name=caller.display_name or caller.username,
            username=caller.username,
            department=views.last(department),
            department_title=title or LocalText(views.last(department)),
            roles=tuple(caller.roles),
        )

    # Pages

    async def inbox(self, visit: Visit) -> Response:
        """What waits for me."""
        datasets, runs = await asyncio.gather(
            visit.desk.datasets(visit.department), visit.desk.runs(visit.department)
        )
        counts, releases = await asyncio.gather(
            each([self._quarantined(visit, found.name) for found in datasets]),
            each([self._releases(visit, found.name) for found in datasets if found.latest_version.version]),
        )
        rows = [views.dataset_row(f, n) for f, n in zip(datasets, counts, strict=True)]
        view = views.inbox(rows, [views.run_view(run) for run in runs], dict(releases))
        return self._html(visit.request, pages.inbox(visit, view))

    async def datasets(self, visit: Visit) -> Response:
        """My department's datasets; words are looked for in names and ids."""
        found = await visit.desk.datasets(visit.department)
        words = " ".join(visit.request.query_params.get("q", "").split())[:200]
        shown = [f for f in found if _matches(words, f.name, f.display_name, f.display_name_en)]
        counts = await each([self._quarantined(visit, each_.name) for each_ in shown])
        rows = tuple(views.dataset_row(f, n) for f, n in zip(shown, counts, strict=True))
        return self._html(visit.request, pages.datasets(visit, rows, words, len(found)))

    async def dataset(self, visit: Visit, refusal: Problem | None = None) -> Response:
        """One dataset."""
        name = visit.dataset
        found, versions, runs, releases, quarantined = await asyncio.gather(
            visit.desk.dataset(name),
            visit.desk.versions(name),
            visit.desk.runs(visit.department, name),
            visit.desk.releases(name),
            self._quarantined(visit, name),
        )
        body = pages.dataset(
            visit,
            views.dataset_row(found, quarantined),
            views.version_rows(versions),
            tuple(views.run_view(run) for run in runs),
            tuple(views.release_row(release) for release in releases),
            refusal,
            _request_id(),
        )
        return self._html(visit.request, body, refusal.status if refusal is not None else 200)

    async def release(self, visit: Visit) -> Response:
        """Asks for the newest version to be opened; what the gates refuse is said on the dataset's page."""
        try:
            await visit.desk.release(visit.dataset, 0, visit.form.get("request_id", ""))
        except Problem as problem:
            if problem.status not in (400, 409):
                raise
            return await self.dataset(visit, problem)
        return _go(f"/console/datasets/{visit.request.path_params['dataset']}#releases")

    async def load_form(self, visit: Visit, problem: Problem | None = None) -> Response:
        """A further file."""
        found = await visit.desk.dataset(visit.dataset)
        body = pages.load(visit, views.dataset_row(found), problem)
        return self._html(visit.request, body, problem.status if problem is not None else 200)

    async def load(self, visit: Visit) -> Response:
        """A further file, sent."""
        try:
            upload = await self._upload(visit)
            run = await visit.desk.ingest(visit.dataset, upload, "", "")
        except Problem as problem:
            if problem.status not in (400, 409, 413):
                raise
            return await self.load_form(visit, problem)
        return _go(f"/console/runs/{views.last(run.name)}")

    async def quarantine(self, visit: Visit) -> Response:
        """Refused rows."""
        asked = visit.request.query_params
        run = f"{visit.department}/runs/{asked['run']}" if asked.get("run") else ""
        found, page = await asyncio.gather(
            visit.desk.dataset(visit.dataset),
            visit.desk.quarantine(visit.dataset, run, QUARANTINE_PAGE, asked.get("page", "")),
        )
        first = int(asked["from"]) if asked.get("from", "").isdecimal() else 1
        body = pages.quarantine(
            visit, views.dataset_row(found), page, asked.get("run", ""), min(first, 10**9)
        )
        return self._html(visit.request, body)

    async def export(self, visit: Visit) -> Response:
        """The refused records as they stood in the file."""
        asked = visit.request.query_params
        run = f"{visit.department}/runs/{asked['run']}" if asked.get("run") else ""
        pieces = visit.desk.export(visit.dataset, run)
        # What is refused must be known before the answer begins.
        first = await anext(aiter(pieces), b"")

        async def body() -> AsyncIterator[bytes]:
            yield first
            async for piece in pieces:
                yield piece

        name = f"{visit.request.path_params['dataset']}-quarantine.csv"
        headers = {**NEVER_KEPT, "Content-Disposition": f'attachment; filename="{quote(name)}"'}
        return StreamingResponse(body(), media_type="application/octet-stream", headers=headers)

    async def register_form(self, visit: Visit, problem: Problem | None = None) -> Response:
        """Drop a file."""
        status = problem.status if problem is not None else 200
        return self._html(visit.request, pages.register(visit, problem), status)

    async def infer(self, visit: Visit) -> Response:
        """A file to make a contract of, sent."""
        try:
            run = await visit.desk.infer(await self._upload(visit))
        except Problem as problem:
            if problem.status not in (400, 413):
                raise
            return await self.register_form(visit, problem)
        return _go(f"/console/runs/{views.last(run.name)}")

    async def contract(self, visit: Visit) -> Response:
        """The inferred contract, to be corrected."""
        run = await visit.desk.run(visit.run)
        if not run.HasField("proposal"):
            return _go(f"/console/runs/{visit.request.path_params['run']}")
        return self._editor(visit, run, contract_form.proposed(run))

    async def register(self, visit: Visit) -> Response:
        """The contract, sent: registers the dataset and loads the file at once."""
        run = await visit.desk.run(visit.run)
        if not run.HasField("proposal"):
            return _go(f"/console/runs/{visit.request.path_params['run']}")
        draft = contract_form.filled_in(visit.form, run)
        try:
            made = await visit.desk.register(
                visit.department,
                draft["id"],
                contract_form.dataset_of(draft, run),
                visit.form.get("request_id", ""),
            )
        except Problem as problem:
            if problem.status not in (400, 409):
                raise
            return self._editor(visit, run, draft, problem)
        # From here on the dataset is there; a load that is refused is told on its own page.
        dataset = replace_dataset(visit, views.last(made.name))
        try:
            loading = await visit.desk.ingest(made.name, run.upload, "", "")
        except Problem as problem:
            return await self.load_form(dataset, problem)
        return _go(f"/console/runs/{views.last(loading.name)}")

    async def run(self, visit: Visit) -> Response:
        """How far a run is, and what came of it."""
        run = await visit.desk.run(visit.run)
        view = views.run_view(run)
        if view.kind == "infer" and run.HasField("proposal"):
            return _go(f"/console/register/{view.id}")
        return self._html(visit.request, pages.run(visit, view))

    async def events(self, visit: Visit) -> Response:
        """The same as server-sent events: what the page's script puts in place, in the page's words."""

        async def told() -> AsyncIterator[bytes]:
            try:
                async with aclosing(visit.desk.watch(visit.run)) as changes:  # type: ignore[type-var]  # always a generator here
                    async for run in changes:
                        data = pages.progress(visit.frame.words, views.run_view(run))
                        yield b"data: " + orjson.dumps(data) + b"\n\n"
            except Problem:
                # The browser asks again by itself; a run that cannot be had says so on its page.
                return

        headers = {**NEVER_KEPT, "X-Accel-Buffering": "no"}
        return StreamingResponse(told(), media_type="text/event-stream", headers=headers)

    async def nowhere(self, visit: Visit) -> Response:
        raise Problem(404, "NO_SUCH_ADDRESS", f"there is nothing at {visit.request.url.path}")

    # Parts

    def _editor(
        self, visit: Visit, run: ing.Run, draft: Draft, problem: Problem | None = None
    ) -> HTMLResponse:
        body = pages.contract(visit, run, draft, problem, _request_id())
        return self._html(visit.request, body, problem.status if problem is not None else 200)

    async def _upload(self, visit: Visit) -> str:
        sent = forms.FileForm(visit.request, visit.session)
        await sent.open()
        if not sent.file_name:
            raise Problem(400, "NO_FILE", "", errors=(Complaint("body", "file", ""),))
        upload = await visit.desk.upload(visit.department, sent.file_name[:255], sent.pieces())
        return upload.name

    async def _quarantined(self, visit: Visit, dataset: str) -> int:
        page = await visit.desk.quarantine(dataset, "", 1, "")
        return page.total_size

    async def _releases(self, visit: Visit, dataset: str) -> tuple[str, tuple[views.ReleaseRow, ...]]:
        found = await visit.desk.releases(dataset)
        return views.last(dataset), tuple(views.release_row(release) for release in found)

    def _stranger(self, request: Request, frame: Frame) -> Response:
        if request.method == "GET" and not request.url.path.endswith("/events"):
            here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/console/login?{urlencode({'next': here})}", 302, NEVER_KEPT)
        return self._html(request, pages.session_over(frame), 401)

    def _refused(self, request: Request, frame: Frame, problem: Problem) -> HTMLResponse:
        return self._html(request, pages.refused(frame, problem), problem.status)

    def _html(self, request: Request, body: str, status: int = 200) -> HTMLResponse:
        return HTMLResponse(body, status, headers=dict(pages.HEADERS))

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


def replace_dataset(visit: Visit, dataset: str) -> Visit:
    """The same visit, at a dataset's address."""
    scope: dict[str, Any] = {**visit.request.scope, "path_params": {"dataset": dataset}}
    return replace(visit, request=Request(scope, visit.request.receive))


def _matches(words: str, *texts: str) -> bool:
    said = " ".join(texts).casefold()
    return all(word in said for word in words.casefold().split())


def _go(address: str) -> RedirectResponse:
    return RedirectResponse(address, 303, NEVER_KEPT)


def _request_id() -> str:
    return str(uuid.uuid4())
