"""Log-in and log-out for a client in the browser: authorization code with PKCE (RFC 6749, 4.1; RFC 7636) and
RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0), at Keycloak's addresses.

There is no single sign-on here: no cookie of ours stays, so that every log-in asks for the password and
whoever has logged out is out. Nobody is asked for consent: the realm's clients are the city's own.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Request
from plaza_design import formats
from plaza_design.i18n import LOCALES, Language, load_translators, negotiate
from plaza_design.pages import Frame, environment, render
from starlette.responses import HTMLResponse, RedirectResponse, Response

from .browsers import Browsers
from .claims import UnknownScopes, grant_scope
from .forms import NotAForm, read_form
from .keys import ForeignToken, SigningKey
from .model import Account, Client, ClientId, Realm
from .pages import CONTENT_SECURITY_POLICY, HEADERS
from .passwords import LockedOut, WrongPassword, check_password
from .redirects import allows
from .standing import open_client
from .store import AuthorizationCode, Store, digest_of

CODE_SECONDS = 60.0
"""How long a code is good; Keycloak's default (`accessCodeLifespan`)."""
COOKIE = "plaza_log_in"
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
"""base64url of a SHA-256 (RFC 7636, 4.2)."""
_HERE = Path(__file__).resolve().parent

Problem = tuple[str, str]


class _Refused(Exception):
    """The request cannot be trusted, so that nobody may be sent anywhere: the person is told here."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class _SentBack(Exception):
    """The request is wrong; the client hears it at its own address (RFC 6749, 4.1.2.1)."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request whose client and address are known to belong together."""

    client: Client
    redirect_uri: str
    state: str


class BrowserPages:
    """The authorization and the end-session endpoint of a realm."""

    def __init__(
        self,
        realm: Realm,
        issuer: str,
        key: SigningKey,
        store: Store,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._realm = realm
        self._issuer = issuer
        self._key = key
        self._store = store
        self._clock = clock
        self._browsers = Browsers(clock)
        self._words = load_translators([LOCALES, _HERE / "locales"])
        self._templates = environment(_HERE / "templates")
        self._base = f"/realms/{realm.name}"

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix=self._base)
        protocol = "/protocol/openid-connect"
        for path, endpoint, methods in (
            (f"{protocol}/auth", self.authorize, ["GET"]),
            ("/login-actions/authenticate", self.authenticate, ["POST"]),
            (f"{protocol}/logout", self.log_out, ["GET", "POST"]),
        ):
            router.add_api_route(path, endpoint, methods=methods, response_model=None)
        return router

    async def authorize(self, request: Request) -> Response:
        """RFC 6749, 4.1.1: shows the log-in page."""
        return self._checked(request, lambda asked: self._login_page(request, asked, ""))

    async def authenticate(self, request: Request) -> Response:
        """The log-in page, sent: the request is checked once more, as it stands in the address."""
        try:
            form = dict(await read_form(request))
        except NotAForm:
            form = {}
        return self._checked(request, lambda asked: self._log_in(request, asked, form))

    async def log_out(self, request: Request) -> Response:
        """Ends a session: of a refresh token (sent by a program, Keycloak's way) or of an ID token.

        Sends the browser on to `post_logout_redirect_uri` when that belongs to the client.
        """
        query = dict(request.query_params)
        if request.method == "POST":
            try:
                query |= dict(await read_form(request))
            except NotAForm:
                return self._refusal(request, "issuer.refused.request")
        if "refresh_token" in query:
            return self._end_by_refresh_token(query)
        client = self._end_by_id_token(query)
        target = query.get("post_logout_redirect_uri")
        if target is None:
            return self._page(request, "signed_out.html")
        if client is None or not allows(client.post_logout_redirect_uris, target):
            return self._refusal(request, "issuer.refused.redirect")
        state = {"state": query["state"]} if query.get("state") else {}
        return RedirectResponse(_with(target, state), 302, HEADERS)

    # The authorization request

    def _checked(self, request: Request, answer: Callable[[_Asked], Response]) -> Response:
        query = request.query_params
        try:
            if len(query.multi_items()) != len(query):
                raise _Refused("issuer.refused.request")
            asked = self._asked(query)
            try:
                self._check(asked.client, query)
            except _SentBack as error:
                told = {"error": error.error, "error_description": error.description}
                return self._back(asked, told)
            return answer(asked)
        except _Refused as refused:
            return self._refusal(request, refused.key)

    def _asked(self, query: Mapping[str, str]) -> _Asked:
        client = open_client(self._realm, self._store, ClientId(query.get("client_id", "")))
        if client is None or not client.standard_flow:
            raise _Refused("issuer.refused.client")
        redirect_uri = query.get("redirect_uri", "")
        if not allows(client.redirect_uris, redirect_uri):
            raise _Refused("issuer.refused.redirect")
        return _Asked(client, redirect_uri, query.get("state", ""))

    def _check(self, client: Client, query: Mapping[str, str]) -> None:
        if query.get("response_type") != "code":
            raise _SentBack("unsupported_response_type", "Only the response type code is offered")
        if query.get("response_mode", "query") != "query":
            raise _SentBack("invalid_request", "Only the response mode query is offered")
        if query.get("code_challenge_method") != "S256":
            raise _SentBack("invalid_request", "Missing parameter: code_challenge_method (S256)")
        if not _CHALLENGE.fullmatch(query.get("code_challenge", "")):
            raise _SentBack("invalid_request", "Missing parameter: code_challenge")
        if "none" in query.get("prompt", "").split():
            raise _SentBack("login_required", "Nobody stays logged in here")
        if len(query.get("nonce", "")) > 500:
            raise _SentBack("invalid_request", "The nonce is too long")
        try:
            grant_scope(client, query.get("scope"))
        except UnknownScopes:
            raise _SentBack("invalid_scope", "Invalid scopes") from None

    def _log_in(self, request: Request, asked: _Asked, form: Mapping[str, str]) -> Response:
        username, password = form.get("username", ""), form.get("password", "")
        if not self._browsers.trusts(request.cookies.get(COOKIE), form.get("form_token", "")):
            return self._login_page(request, asked, username, ("main", "issuer.stale"))
        missing = [(f, f"issuer.{f}.missing") for f in ("username", "password") if not form.get(f)]
        if missing:
            return self._login_page(request, asked, username, *missing)
        try:
            with self._store.transaction():
                account = self._account(username, password)
        except LockedOut as error:
            problem = ("password", "issuer.locked")
            return self._login_page(request, asked, username, problem, seconds=error.seconds)
        if account is None:
            return self._login_page(request, asked, username, ("password", "issuer.wrong"))
        response = self._back(asked, {"code": self._new_code(request.query_params, asked, account)})
        response.delete_cookie(COOKIE, path=self._base)
        return response

    def _account(self, username: str, password: str) -> Account | None:
        # Inside a transaction that must keep the failure it counts: a wrong password is no exception there.
        try:
            return check_password(self._realm, self._store, username, password, self._clock())
        except WrongPassword:
            return None

    def _new_code(self, query: Mapping[str, str], asked: _Asked, account: Account) -> str:
        code, now = secrets.token_urlsafe(32), self._clock()
        with self._store.transaction():
            self._store.forget_expired(now)
            self._store.add_authorization_code(
                AuthorizationCode(
                    digest=digest_of(code),
                    client_id=asked.client.id,
                    account_id=account.id,
                    redirect_uri=asked.redirect_uri,
                    scope=query.get("scope", ""),
                    nonce=query.get("nonce", ""),
                    challenge=query["code_challenge"],
                    expires_at=now + CODE_SECONDS,
                    session_id=None,
                )
            )
        return code

    def _back(self, asked: _Asked, answer: Mapping[str, str]) -> RedirectResponse:
        # RFC 9207: the client sees which issuer answered.
        state = {"state": asked.state} if asked.state else {}
        told = {**answer, **state, "iss": self._issuer}
        return RedirectResponse(_with(asked.redirect_uri, told), 303, HEADERS)

    # The end of a session

    def _end_by_refresh_token(self, form: Mapping[str, str]) -> Response:
        found = self._store.refresh_token(digest_of(form["refresh_token"]))
        client = self._realm.clients.get(ClientId(form.get("client_id", "")))
        # A confidential client would have to prove itself; it revokes instead.
        if (
            client is None
            or client.secret is not None
            or found is None
            or found.session.client_id != client.id
        ):
            return Response(status_code=400, headers=HEADERS)
        with self._store.transaction():
            self._store.end_session(found.session.id)
        return Response(status_code=204, headers=HEADERS)

    def _end_by_id_token(self, query: Mapping[str, str]) -> Client | None:
        """The client that the hint or `client_id` names; what the hint's session was is over. The hint may have
        expired (RP-Initiated Logout 1.0, 4)."""
        hint, named = query.get("id_token_hint"), query.get("client_id")
        if hint is None:
            return self._realm.clients.get(ClientId(named or ""))
        try:
            claims = self._key.read(hint)
        except ForeignToken:
            return None
        client_id = str(claims.get("azp"))
        if claims.get("typ") != "ID" or (named is not None and named != client_id):
            return None
        with self._store.transaction():
            self._store.end_session(str(claims.get("sid")))
        return self._realm.clients.get(ClientId(client_id))

    # Pages

    def _login_page(
        self, request: Request, asked: _Asked, username: str, *problems: Problem, seconds: int = 0
    ) -> Response:
        browser = request.cookies.get(COOKIE) or self._browsers.new()
        query = urlencode(dict(request.query_params))
        stale = any(key == "issuer.stale" for _, key in problems)
        response = self._page(
            request,
            "sign_in.html",
            *problems,
            status=403 if stale else 400 if problems else 200,
            # The form's answer leads to the client; browsers hold the policy against that step too.
            goes_to=_origin(asked.redirect_uri),
            username=username,
            seconds=seconds,
            form_token=self._browsers.form_token(browser),
            action=f"{self._base}/login-actions/authenticate?{query}",
        )
        # Not `secure`: the issuer speaks http on loopback, where Safari would drop such a cookie.
        response.set_cookie(COOKIE, browser, path=self._base, httponly=True, samesite="strict")
        return response

    def _refusal(self, request: Request, key: str) -> Response:
        return self._page(request, "refused.html", status=400, reason=key)

    def _page(
        self,
        request: Request,
        template: str,
        *problems: Problem,
        status: int = 200,
        goes_to: str = "",
        **values: object,
    ) -> Response:
        html = render(self._templates, template, self._frame(request), problems=problems, **values)
        policy = CONTENT_SECURITY_POLICY.replace(
            "form-action 'self'", f"form-action 'self' {goes_to}".strip()
        )
        return HTMLResponse(html, status, headers={**HEADERS, "Content-Security-Policy": policy})

    def _frame(self, request: Request) -> Frame:
        wanted = request.query_params.get("ui_locales", "").split(" ")[0]
        chosen = request.query_params.get("lang") or (wanted if wanted in tuple(Language) else None)
        language = negotiate(request.headers.get("accept-language"), chosen)
        query = {**dict(request.query_params), "lang": str(language.other)}
        # A form's own address answers posts only; the other language begins at the page.
        path = request.url.path.replace("/login-actions/authenticate", "/protocol/openid-connect/auth")
        switch = f"{path}?{urlencode(query)}"
        return Frame(
            words=self._words[language],
            now=formats.local(datetime.fromtimestamp(self._clock(), UTC)),
            here=path,
            home=f"{self._base}/device?lang={language}",
            theme=None,
            switch_href=switch,
            canonical=path,
            alternate=switch,
        )


def _with(address: str, parameters: Mapping[str, str]) -> str:
    if not parameters:
        return address
    return f"{address}{'&' if '?' in address else '?'}{urlencode(parameters)}"


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"
