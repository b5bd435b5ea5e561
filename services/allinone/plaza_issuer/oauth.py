# mypy: allow-untyped-calls
# Authlib carries no annotations; this module and grants.py are the only ones that call it.
"""The OAuth 2.0 server (RFC 6749): Authlib's, told about our realm, and the adapter to Starlette."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import Any, cast

from authlib.oauth2 import OAuth2Request
from authlib.oauth2.rfc6749 import AuthorizationServer, ClientMixin, InvalidRequestError
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc8628 import DEVICE_CODE_GRANT_TYPE
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response

from .claims import UnknownScopes
from .grants import (
    ClientGrant,
    CodeGrant,
    DeviceEndpoint,
    DeviceGrant,
    PasswordGrant,
    RefreshGrant,
    Revocation,
    invalid_scope,
)
from .model import Account, Client, ClientId, Realm
from .standing import open_client
from .store import Store
from .tokens import TokenMaker

PASSWORD_CLIENT = ClientId("plaza-cli")
"""The one client for which a demo person's password is taken directly, so that scripts can log in.

Keycloak refuses this grant (`directAccessGrantsEnabled` is false in the realm file); only this issuer has it.
"""


class OAuthClient(ClientMixin):
    """A client of the realm as Authlib wants to see it."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def get_client_id(self) -> str:
        return self.client.id

    def check_client_secret(self, client_secret: str) -> bool:
        return self.client.secret is not None and hmac.compare_digest(
            self.client.secret.encode(), client_secret.encode()
        )

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return (method == "none") == (self.client.secret is None)

    def check_grant_type(self, grant_type: str) -> bool:
        allowed = {
            "client_credentials": self.client.service_account and self.client.secret is not None,
            DEVICE_CODE_GRANT_TYPE: self.client.device_flow,
            "authorization_code": self.client.standard_flow,
            "refresh_token": self.client.device_flow or self.client.standard_flow,
            "password": self.client.id == PASSWORD_CLIENT,
        }
        return allowed.get(grant_type, False)


class OAuthRequest(OAuth2Request):
    """One form post. The address is the issuer's own, never the one that the caller claims to have called."""

    payload: Any
    client: Any
    credential: Any

    def __init__(self, uri: str, headers: Headers, form: Mapping[str, str]) -> None:
        super().__init__("POST", uri, headers=headers)
        self.payload = BasicOAuth2Payload(dict(form))

    @property
    def form(self) -> Mapping[str, str]:
        return cast(Mapping[str, str], self.payload.data)

    @property
    def args(self) -> Mapping[str, str]:
        return {}


class OAuthServer(AuthorizationServer):
    """Answers the token, device authorization and revocation endpoints."""

    def __init__(self, realm: Realm, store: Store, tokens: TokenMaker, verification_uri: str) -> None:
        super().__init__()
        self.realm = realm
        self.store = store
        self.tokens = tokens
        self.verification_uri = verification_uri
        self.register_token_generator("default", self._new_tokens)
        for grant in (DeviceGrant, ClientGrant, RefreshGrant, PasswordGrant):
            self.register_grant(grant)
        self.register_grant(CodeGrant, [CodeChallenge(required=True)])
        # Authlib's own annotation leaves out its own device endpoint, which is no subclass of `Endpoint`.
        self.register_endpoint(cast(Any, DeviceEndpoint))
        self.register_endpoint(Revocation)

    def answer(self, endpoint: str, headers: Headers, fields: Sequence[tuple[str, str]]) -> Response:
        """The answer to a form post at `token`, `device_authorization` or `revocation`.

        What it changes is kept whole or not at all.
        """
        form = dict(fields)
        request = OAuthRequest(self.tokens.issuer, headers, form)
        if len(form) != len(fields):
            return cast(
                Response, self.handle_error_response(request, InvalidRequestError("repeated parameter"))
            )
        with self.store.transaction():
            if endpoint == "token":
                return cast(Response, self.create_token_response(request))
            return cast(Response, self.create_endpoint_response(endpoint, request))

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.tokens.clock()

    # What Authlib asks its host for

    def query_client(self, client_id: str) -> OAuthClient | None:
        client = open_client(self.realm, self.store, ClientId(client_id))
        return OAuthClient(client) if client is not None else None

    def create_oauth2_request(self, request: OAuth2Request) -> OAuth2Request:
        return request

    def handle_response(self, status: int, body: object, headers: Sequence[tuple[str, str]]) -> Response:
        return JSONResponse(body, status, headers={**dict(headers), "Cache-Control": "no-store"})

    def save_token(self, token: object, request: object) -> None:
        """Nothing left to do: `TokenMaker` keeps what it makes."""

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Nobody listens."""

    def validate_requested_scope(self, scope: str | None) -> None:
        """Scopes belong to clients here; they are checked where the client is known."""

    def _new_tokens(
        self,
        grant_type: str,
        client: OAuthClient,
        user: Account | None = None,
        scope: str | None = None,
        expires_in: int | None = None,
        include_refresh_token: bool = True,
    ) -> dict[str, object]:
        try:
            if user is None:
                return self.tokens.for_client(client.client, scope)
            return self.tokens.for_person(client.client, user, scope)
        except UnknownScopes as error:
            raise invalid_scope(error) from error
