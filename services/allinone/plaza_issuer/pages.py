"""The log-in page of the device flow (RFC 8628, section 3.3): code, password, consent, done.

Plain forms, no script. Each step has its own address and answers a post with a redirect, so that going back
and reloading do what people expect.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from plaza_design import formats
from plaza_design.i18n import LOCALES, Language, load_translators, negotiate
from plaza_design.pages import Frame, environment, render
from starlette.responses import HTMLResponse, RedirectResponse, Response

from .browsers import COOKIE, Browsers
from .forms import NotAForm, read_form
from .model import Account, Realm
from .passwords import LockedOut, WrongPassword, check_password
from .store import DeviceCode, Store

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
"""Stricter than other pages: a page that takes passwords runs no script at all."""
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_HERE = Path(__file__).resolve().parent

Problem = tuple[str, str]
"""Id of the field, and what to do about it."""


class DevicePages:
    """The pages under `/realms/<realm>/device`."""

    def __init__(self, realm: Realm, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._realm = realm
        self._store = store
        self._clock = clock
        self._browsers = Browsers(clock)
        self._words = load_translators([LOCALES, _HERE / "locales"])
        self._templates = environment(_HERE / "templates")
        self._base = f"/realms/{realm.name}/device"

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix=self._base)
        for path, show, take in (
            ("", self.show_code, self.take_code),
            ("/login", self.show_login, self.take_login),
            ("/allow", self.show_consent, self.take_consent),
        ):
            router.add_api_route(path, show, methods=["GET"], response_model=None)
            router.add_api_route(path, take, methods=["POST"], response_model=None)
        router.add_api_route("/done", self.show_done, methods=["GET"], response_model=None)
        return router

    async def show_code(self, request: Request) -> Response:
        """Step 1: the code, filled in already when it came with `verification_uri_complete`."""
        return self._code_page(request, normalised(request.query_params.get("user_code", "")))

    async def take_code(self, request: Request) -> Response:
        """Step 1, sent."""
        form, stale = await self._form(request)
        user_code = normalised(form.get("user_code", ""))
        if stale:
            return self._code_page(request, user_code, stale)
        if not user_code:
            return self._code_page(request, "", ("user_code", "issuer.code.missing"))
        if self._waiting(user_code) is None:
            return self._code_page(request, user_code, ("user_code", "issuer.code.unknown"))
        return self._go(request, "/login", user_code)

    async def show_login(self, request: Request) -> Response:
        """Step 2: log-in name and password."""
        user_code = normalised(request.query_params.get("user_code", ""))
        if self._waiting(user_code) is None:
            return self._go(request, "", user_code)
        return self._login_page(request, user_code, "")

    async def take_login(self, request: Request) -> Response:
        """Step 2, sent."""
        form, stale = await self._form(request)
        user_code = normalised(form.get("user_code", ""))
        username, password = form.get("username", ""), form.get("password", "")
        if self._waiting(user_code) is None:
            return self._go(request, "", user_code)
        if stale:
            return self._login_page(request, user_code, username, stale)
        missing = [(f, f"issuer.{f}.missing") for f in ("username", "password") if not form.get(f)]
        if missing:
            return self._login_page(request, user_code, username, *missing)
        try:
            with self._store.transaction():
                account = self._check(username, password)
        except LockedOut as error:
            return self._login_page(
                request, user_code, username, ("password", "issuer.locked"), seconds=error.seconds
            )
        if account is None:
            return self._login_page(request, user_code, username, ("password", "issuer.wrong"))
        return self._go(request, "/allow", user_code, self._browsers.logged_in(account, user_code))

    async def show_consent(self, request: Request) -> Response:
        """Step 3: who would act as whom."""
        user_code = normalised(request.query_params.get("user_code", ""))
        account = self._browsers.account(request.cookies.get(COOKIE), user_code)
        if account is None or self._waiting(user_code) is None:
            return self._go(request, "/login", user_code)
        return self._consent_page(request, user_code, account)

    async def take_consent(self, request: Request) -> Response:
        """Step 3, sent: the decision."""
        form, stale = await self._form(request)
        user_code = normalised(form.get("user_code", ""))
        browser = request.cookies.get(COOKIE)
        account = self._browsers.account(browser, user_code)
        if browser is None or account is None or self._waiting(user_code) is None:
            return self._go(request, "/login", user_code)
        decision = form.get("decision")
        if stale or decision not in ("allow", "deny"):
            return self._consent_page(request, user_code, account, stale or ("allow", "issuer.stale"))
        with self._store.transaction():
            self._store.decide(user_code, account.id, decision == "allow")
        self._browsers.forget(browser)
        return RedirectResponse(f"{self._base}/done?{self._query(request, decision=decision)}", 303, HEADERS)

    async def show_done(self, request: Request) -> Response:
        """The end; the rest happens in the terminal."""
        return self._page(request, "done.html", allowed=request.query_params.get("decision") == "allow")

    # Facts

    def _waiting(self, user_code: str) -> DeviceCode | None:
        code = self._store.device_code_shown_as(user_code)
        alive = code is not None and code.account_id is None and code.expires_at > self._clock()
        return code if alive else None

    def _check(self, username: str, password: str) -> Account | None:
        # Inside a transaction that must keep the failure it counts: a wrong password is no exception there.
        try:
            return check_password(self._realm, self._store, username, password, self._clock())
        except WrongPassword:
            return None

    async def _form(self, request: Request) -> tuple[dict[str, str], Problem | None]:
        """The fields, and what is wrong when the form is not one that we showed to this browser."""
        try:
            form = dict(await read_form(request))
        except NotAForm:
            form = {}
        trusted = self._browsers.trusts(request.cookies.get(COOKIE), form.get("form_token", ""))
        return form, None if trusted else ("main", "issuer.stale")

    # Pages

    def _code_page(self, request: Request, user_code: str, *problems: Problem) -> Response:
        return self._page(request, "code.html", *problems, user_code=user_code)

    def _login_page(
        self, request: Request, user_code: str, username: str, *problems: Problem, seconds: int = 0
    ) -> Response:
        return self._page(
            request, "login.html", *problems, user_code=user_code, username=username, seconds=seconds
        )

    def _consent_page(
        self, request: Request, user_code: str, account: Account, *problems: Problem
    ) -> Response:
        departments = [self._realm.departments[d].display_name for d in account.departments]
        hours = self._realm.lifetimes.session_idle // 3600
        return self._page(
            request,
            "consent.html",
            *problems,
            user_code=user_code,
            account=account,
            departments=departments,
            hours=hours,
        )

    def _page(self, request: Request, template: str, *problems: Problem, **values: object) -> Response:
        browser = request.cookies.get(COOKIE) or self._browsers.new()
        frame = self._frame(request)
        stale = any(key == "issuer.stale" for _, key in problems)
        html = render(
            self._templates,
            template,
            frame,
            form_token=self._browsers.form_token(browser),
            problems=problems,
            action=f"{request.url.path}?lang={frame.language}",
            **values,
        )
        response = HTMLResponse(html, 403 if stale else 400 if problems else 200, headers=HEADERS)
        self._remember(response, browser)
        return response

    def _frame(self, request: Request) -> Frame:
        language = negotiate(request.headers.get("accept-language"), request.query_params.get("lang"))
        query = {k: v for k, v in request.query_params.items() if k in ("user_code", "decision")}
        switch = f"{request.url.path}?{urlencode({**query, 'lang': str(language.other)})}"
        return Frame(
            words=self._words[language],
            now=formats.local(datetime.fromtimestamp(self._clock(), UTC)),
            here=request.url.path,
            home=f"{self._base}?lang={language}",
            theme=None,
            switch_href=switch,
            canonical=request.url.path,
            alternate=switch,
        )

    def _go(self, request: Request, step: str, user_code: str, browser: str | None = None) -> Response:
        target = f"{self._base}{step}?{self._query(request, user_code=user_code)}"
        response = RedirectResponse(target, 303, HEADERS)
        if browser is not None:
            self._remember(response, browser)
        return response

    def _query(self, request: Request, **values: str) -> str:
        chosen = request.query_params.get("lang")
        language = {"lang": chosen} if chosen in (Language.ZH, Language.EN) else {}
        return urlencode({**values, **language})

    def _remember(self, response: Response, browser: str) -> None:
        # Not `secure`: the issuer speaks http on loopback, where Safari would drop such a cookie.
        response.set_cookie(COOKIE, browser, path=self._base, httponly=True, samesite="strict")


def normalised(user_code: str) -> str:
    """A typed code as it was shown: `bcdf ghjk` → `BCDF-GHJK` (RFC 8628, section 6.1)."""
    letters = re.sub(r"[^A-Z]", "", user_code.upper())[:16]
    return f"{letters[:4]}-{letters[4:]}" if len(letters) > 4 else letters
