"""The issuer as a FastAPI app: Keycloak's addresses, and nothing published that is not there."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI, Request
from plaza_design.assets import IMMUTABLE, find_asset
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import JSONResponse, Response

from .administration import Administration
from .authorize import BrowserPages
from .claims import grant_scope, mapped_claims
from .forms import NotAForm, read_form
from .grants import ANY_METHOD, GRANT_TYPES
from .keys import ALGORITHM, ForeignToken, SigningKey
from .loopback import HOST_NAMES, LoopbackOnly, require_loopback
from .model import AccountId, ClientId, Realm
from .oauth import OAuthServer
from .pages import DevicePages
from .settings import IssuerSettings
from .standing import open_account
from .store import Store
from .tokens import TokenMaker


def issuer_url(settings: IssuerSettings, realm: Realm) -> str:
    """The `iss` of all tokens, for example `http://127.0.0.1:8081/realms/plaza`. Raises NotLoopback."""
    host = require_loopback(settings.issuer_host)
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{settings.issuer_port}/realms/{realm.name}"


def create_app(settings: IssuerSettings, realm: Realm, *, clock: Callable[[], float] = time.time) -> FastAPI:
    """The issuer of one realm; key and sessions lie in `settings.directory`. `clock`: seconds since 1970.

    Raises NotLoopback, BadSigningKey, StoreTooNew.
    """
    issuer = issuer_url(settings, realm)
    key = SigningKey.kept_in(settings.directory)
    store = Store(settings.directory)
    tokens = TokenMaker(realm, issuer, key, store, clock)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        store.close()

    app = FastAPI(
        title="Plaza development issuer",
        openapi_url=None,
        lifespan=lifespan,
        middleware=[
            Middleware(LoopbackOnly),
            Middleware(TrustedHostMiddleware, allowed_hosts=[*HOST_NAMES, "::1", "[::1]"]),
        ],
    )
    server = OAuthServer(realm, store, tokens, f"{issuer}/device")
    app.include_router(_Endpoints(realm, issuer, key, store, server, clock).router())
    app.include_router(DevicePages(realm, store, clock).router())
    app.include_router(Administration(realm, key, store, clock).router())
    app.include_router(BrowserPages(realm, issuer, key, store, clock).router())
    app.add_api_route("/static/{digest}/{name}", _static, methods=["GET"], response_model=None)
    return app


async def _static(digest: str, name: str) -> Response:
    asset = find_asset(digest, name)
    if asset is None:
        return Response(status_code=404)
    headers = {"Cache-Control": IMMUTABLE, "X-Content-Type-Options": "nosniff"}
    return Response(asset.body, media_type=asset.media_type, headers=headers)


class _Endpoints:
    """The protocol's endpoints for programs."""

    def __init__(
        self,
        realm: Realm,
        issuer: str,
        key: SigningKey,
        store: Store,
        server: OAuthServer,
        clock: Callable[[], float],
    ) -> None:
        self._realm = realm
        self._issuer = issuer
        self._protocol = f"{issuer}/protocol/openid-connect"
        self._key = key
        self._store = store
        self._server = server
        self._clock = clock

    def router(self) -> APIRouter:
        """Keycloak's paths below `/realms/<realm>`."""
        router = APIRouter(prefix=f"/realms/{self._realm.name}")
        protocol = "/protocol/openid-connect"
        for path, endpoint, methods in (
            ("/.well-known/openid-configuration", self.discovery, ["GET"]),
            (f"{protocol}/certs", self.certs, ["GET"]),
            (f"{protocol}/token", self.token, ["POST"]),
            (f"{protocol}/auth/device", self.device, ["POST"]),
            (f"{protocol}/revoke", self.revoke, ["POST"]),
            (f"{protocol}/userinfo", self.userinfo, ["GET", "POST"]),
        ):
            router.add_api_route(path, endpoint, methods=methods, response_model=None)
        return router

    async def discovery(self) -> Response:
        """OpenID Connect Discovery 1.0, section 3."""
        scopes = {
            s.name for c in self._realm.clients.values() for s in (*c.default_scopes, *c.optional_scopes)
        }
        return JSONResponse(
            {
                "issuer": self._issuer,
                "authorization_endpoint": f"{self._protocol}/auth",
                "token_endpoint": f"{self._protocol}/token",
                "end_session_endpoint": f"{self._protocol}/logout",
                "device_authorization_endpoint": f"{self._protocol}/auth/device",
                "jwks_uri": f"{self._protocol}/certs",
                "userinfo_endpoint": f"{self._protocol}/userinfo",
                "revocation_endpoint": f"{self._protocol}/revoke",
                "grant_types_supported": GRANT_TYPES,
                "response_types_supported": ["code"],
                "response_modes_supported": ["query"],
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": True,
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": [ALGORITHM],
                "token_endpoint_auth_methods_supported": ANY_METHOD,
                "revocation_endpoint_auth_methods_supported": ANY_METHOD,
                "scopes_supported": ["openid", *sorted(scopes)],
                "ui_locales_supported": ["zh-CN", "en"],
            }
        )

    async def certs(self) -> Response:
        """The public keys (RFC 7517)."""
        return JSONResponse(self._key.published())

    async def token(self, request: Request) -> Response:
        """RFC 6749, 3.2."""
        return await self._post("token", request)

    async def device(self, request: Request) -> Response:
        """RFC 8628, 3.1."""
        return await self._post("device_authorization", request)

    async def revoke(self, request: Request) -> Response:
        """RFC 7009, 2."""
        return await self._post("revocation", request)

    async def userinfo(self, request: Request) -> Response:
        """OpenID Connect Core 1.0, 5.3; the token in the `Authorization` header (RFC 6750, 2.1)."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token:
            return _bearer_refusal(401, "", "")
        try:
            claims = self._key.read(token.strip())
        except ForeignToken:
            return _bearer_refusal(401, "invalid_token", "Token verification failed")
        client = self._realm.clients.get(ClientId(str(claims.get("azp"))))
        account = open_account(self._realm, self._store, AccountId(str(claims.get("sub"))))
        expires_at = claims.get("exp")
        alive = isinstance(expires_at, int) and self._clock() < expires_at and claims.get("typ") == "Bearer"
        if not alive or client is None or account is None or not self._session_lives(claims.get("sid")):
            return _bearer_refusal(401, "invalid_token", "Token verification failed")
        scope = grant_scope(client, str(claims.get("scope")))
        if not scope.openid:
            return _bearer_refusal(403, "insufficient_scope", "Missing openid scope")
        body = mapped_claims("userinfo", client, account, scope) | {"sub": account.id}
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    async def _post(self, endpoint: str, request: Request) -> Response:
        try:
            fields = await read_form(request)
        except NotAForm as error:
            return JSONResponse({"error": "invalid_request", "error_description": error.message}, 400)
        return self._server.answer(endpoint, request.headers, fields)

    def _session_lives(self, sid: object) -> bool:
        if sid is None:
            return True  # a client that acts for itself has no session
        session = self._store.session(str(sid))
        return session is not None and not session.ended and session.expires_at > self._clock()


def _bearer_refusal(status: int, error: str, description: str) -> Response:
    """RFC 6750, 3: without any token the challenge names no error."""
    challenge = f'Bearer error="{error}", error_description="{description}"' if error else "Bearer"
    body = {"error": error, "error_description": description} if error else {}
    return JSONResponse(body, status, headers={"WWW-Authenticate": challenge, "Cache-Control": "no-store"})
