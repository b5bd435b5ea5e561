# mypy: allow-untyped-calls
# Authlib carries no annotations; this module and oauth.py are the only ones that call it.
"""The grants and endpoints of the OAuth server: what Authlib asks about our realm, store and tokens.

Authlib decides what is a valid request and what answers it. Where it and Keycloak name an error differently,
Keycloak's name is taken, so that a client cannot tell the two apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import InvalidRequestError, TokenMixin
from authlib.oauth2.rfc6749.errors import InvalidGrantError, InvalidScopeError, UnauthorizedClientError
from authlib.oauth2.rfc6749.grants import (
    AuthorizationCodeGrant,
    ClientCredentialsGrant,
    RefreshTokenGrant,
    ResourceOwnerPasswordCredentialsGrant,
)
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc8628 import (
    DEVICE_CODE_GRANT_TYPE,
    DeviceAuthorizationEndpoint,
    DeviceCodeGrant,
    DeviceCredentialMixin,
)

from .claims import UnknownScopes, grant_scope
from .model import Account, Client, ClientId
from .passwords import LockedOut, WrongPassword, check_password
from .standing import open_account
from .store import AuthorizationCode, DeviceCode, RefreshToken, digest_of

if TYPE_CHECKING:
    from .oauth import OAuthClient, OAuthRequest, OAuthServer

SLOW_DOWN_SECONDS = 5.0
"""RFC 8628, section 3.5: what a device that asks too often must add to its interval."""
AUTH_METHODS = ["client_secret_basic", "client_secret_post"]
PUBLIC_ONLY = ["none"]
ANY_METHOD = [*AUTH_METHODS, *PUBLIC_ONLY]
GRANT_TYPES = [
    "authorization_code",
    DEVICE_CODE_GRANT_TYPE,
    "client_credentials",
    "refresh_token",
    "password",
]


class ClientGrant(ClientCredentialsGrant):
    """A client acts for itself (RFC 6749, 4.4)."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS


class PasswordGrant(ResourceOwnerPasswordCredentialsGrant):
    """A demo person's password, for scripts (RFC 6749, 4.3)."""

    TOKEN_ENDPOINT_AUTH_METHODS = PUBLIC_ONLY
    server: OAuthServer
    request: OAuthRequest

    def authenticate_user(self, username: str, password: str) -> Account:
        try:
            return check_password(self.server.realm, self.server.store, username, password, self.server.now())
        except WrongPassword as error:
            raise InvalidGrantError("Invalid user credentials", status_code=401) from error
        except LockedOut as error:
            raise InvalidGrantError(
                f"Too many wrong passwords; try again in {error.seconds} s", status_code=401
            ) from error


class _CodeCredential:
    """A code as Authlib and its PKCE extension want to see it."""

    code_challenge_method = "S256"

    def __init__(self, code: AuthorizationCode) -> None:
        self.code = code
        self.code_challenge = code.challenge

    def get_redirect_uri(self) -> str:
        return self.code.redirect_uri

    def get_scope(self) -> str:
        return self.code.scope


class CodeGrant(AuthorizationCodeGrant):
    """A browser has brought a code from the log-in page (RFC 6749, 4.1.3), which `authorize` hands out."""

    TOKEN_ENDPOINT_AUTH_METHODS = ANY_METHOD
    server: OAuthServer
    request: OAuthRequest

    def query_authorization_code(self, code: str, client: OAuthClient) -> _CodeCredential:
        found = self.server.store.authorization_code(digest_of(code))
        if found is None or found.client_id != client.client.id:
            raise InvalidGrantError("Code not valid")
        if found.session_id is not None:
            # RFC 6749, 4.1.2: two hold the same code and one of them stole it; neither goes on.
            self.server.store.end_session(found.session_id)
            raise InvalidGrantError("Code already used")
        if found.expires_at <= self.server.now():
            raise InvalidGrantError("Code is expired")
        return _CodeCredential(found)

    def authenticate_user(self, authorization_code: _CodeCredential) -> Account | None:
        return open_account(self.server.realm, self.server.store, authorization_code.code.account_id)

    def generate_token(
        self,
        user: Account | None = None,
        scope: str | None = None,
        grant_type: str | None = None,
        expires_in: int | None = None,
        include_refresh_token: bool = True,
    ) -> dict[str, object]:
        assert user is not None
        client: Client = self.request.client.client
        try:
            return self.server.tokens.for_person(client, user, scope, self._code.nonce)
        except UnknownScopes as error:
            raise invalid_scope(error) from error

    def save_token(self, token: Mapping[str, object]) -> None:
        self.server.store.use_authorization_code(self._code.digest, str(token["session_state"]))

    def delete_authorization_code(self, authorization_code: _CodeCredential) -> None:
        """It stays, marked as used, so that a second use is seen."""

    @property
    def _code(self) -> AuthorizationCode:
        # Set by Authlib between the two steps of a token request.
        return cast(_CodeCredential, self.request.authorization_code).code


class _RefreshCredential(TokenMixin):
    def __init__(self, token: RefreshToken) -> None:
        self.token = token

    def check_client(self, client: OAuthClient) -> bool:
        return self.token.session.client_id == client.client.id

    def get_scope(self) -> str:
        return self.token.session.scope


class RefreshGrant(RefreshTokenGrant):
    """A session goes on; each refresh token is good once (RFC 6749, 6)."""

    TOKEN_ENDPOINT_AUTH_METHODS = ANY_METHOD
    server: OAuthServer
    request: OAuthRequest

    def authenticate_refresh_token(self, refresh_token: str) -> _RefreshCredential:
        found = self.server.store.refresh_token(digest_of(refresh_token))
        if found is None or found.session.client_id != self.request.client.client.id:
            raise InvalidGrantError("Invalid refresh token")
        if found.used:
            # RFC 9700, 4.14.2: two hold the same token and one of them stole it; neither goes on.
            self.server.store.end_session(found.session.id)
            raise InvalidGrantError("Maximum allowed refresh token reuse exceeded")
        if found.session.ended or min(found.expires_at, found.session.expires_at) <= self.server.now():
            raise InvalidGrantError("Session not active")
        return _RefreshCredential(found)

    def authenticate_user(self, refresh_token: _RefreshCredential) -> Account:
        account_id = refresh_token.token.session.account_id
        account = open_account(self.server.realm, self.server.store, account_id)
        if account is None:
            raise InvalidGrantError("Session not active")
        return account

    def issue_token(self, user: Account, refresh_token: _RefreshCredential) -> dict[str, object]:
        asked = self.request.payload.scope or refresh_token.get_scope()
        client: Client = self.request.client.client
        try:
            return self.server.tokens.for_refresh(client, user, asked, refresh_token.token)
        except UnknownScopes as error:
            raise invalid_scope(error) from error

    def revoke_old_credential(self, refresh_token: _RefreshCredential) -> None:
        """Done by `TokenMaker.for_refresh`, before the successor leaves."""


class _DeviceCredential(DeviceCredentialMixin):
    def __init__(self, code: DeviceCode, now: float) -> None:
        self.code = code
        self._now = now

    def get_client_id(self) -> str:
        return self.code.client_id

    def get_scope(self) -> str:
        return self.code.scope

    def get_user_code(self) -> str:
        return self.code.user_code

    def is_expired(self) -> bool:
        return self.code.expires_at <= self._now


class DeviceEndpoint(DeviceAuthorizationEndpoint):
    """Hands out device codes (RFC 8628, 3.1)."""

    server: OAuthServer

    def __init__(self, server: OAuthServer) -> None:
        super().__init__(server)
        self.EXPIRES_IN = server.realm.lifetimes.device_code
        self.INTERVAL = server.realm.lifetimes.device_interval

    def authenticate_client(self, request: OAuthRequest) -> OAuthClient:
        client = cast("OAuthClient", super().authenticate_client(request))
        if not client.check_grant_type(DEVICE_CODE_GRANT_TYPE):
            raise UnauthorizedClientError("Client not allowed OAuth 2.0 Device Authorization Grant")
        try:
            grant_scope(client.client, request.payload.scope)
        except UnknownScopes as error:
            raise invalid_scope(error) from error
        return client

    def get_verification_uri(self) -> str:
        return self.server.verification_uri

    def save_device_credential(self, client_id: str, scope: str | None, data: Mapping[str, Any]) -> None:
        now = self.server.now()
        self.server.store.forget_expired(now)
        self.server.store.add_device_code(
            DeviceCode(
                digest=digest_of(data["device_code"]),
                user_code=data["user_code"],
                client_id=ClientId(client_id),
                scope=scope or "",
                expires_at=now + data["expires_in"],
                interval=float(data["interval"]),
                polled_at=None,
                account_id=None,
                allowed=False,
            )
        )


class DeviceGrant(DeviceCodeGrant):
    """The device asks whether it has been allowed (RFC 8628, 3.4)."""

    TOKEN_ENDPOINT_AUTH_METHODS = ANY_METHOD
    server: OAuthServer
    request: OAuthRequest

    def query_device_credential(self, device_code: str) -> _DeviceCredential:
        code = self.server.store.device_code(digest_of(device_code))
        if code is None:
            raise InvalidGrantError("Device code not valid")
        return _DeviceCredential(code, self.server.now())

    def query_user_grant(self, user_code: str) -> tuple[Account | None, bool] | None:
        code = self.server.store.device_code_shown_as(user_code)
        if code is None or code.account_id is None:
            return None
        account = open_account(self.server.realm, self.server.store, code.account_id)
        return account, account is not None and code.allowed

    def should_slow_down(self, credential: _DeviceCredential) -> bool:
        code, now = credential.code, self.server.now()
        early = code.polled_at is not None and now < code.polled_at + code.interval
        self.server.store.polled(code.digest, now, code.interval + (SLOW_DOWN_SECONDS if early else 0.0))
        return early

    def save_token(self, token: object) -> None:
        self.server.store.remove_device_code(self.request.credential.code.digest)


class Revocation(RevocationEndpoint):
    """Ends the whole session of a refresh token (RFC 7009, 2.1).

    Access tokens are not kept and live five minutes: they cannot be revoked.
    """

    CLIENT_AUTH_METHODS = ANY_METHOD
    server: OAuthServer

    def check_params(self, request: OAuthRequest, client: OAuthClient) -> None:
        if "token" not in request.form:
            raise InvalidRequestError("Missing 'token' in request")
        if request.form.get("token_type_hint") not in (None, "refresh_token"):
            raise OAuth2Error("Only refresh tokens can be revoked", error="unsupported_token_type")

    def query_token(self, token_string: str, token_type_hint: str | None) -> _RefreshCredential | None:
        found = self.server.store.refresh_token(digest_of(token_string))
        return None if found is None else _RefreshCredential(found)

    def revoke_token(self, token: _RefreshCredential, request: OAuthRequest) -> None:
        self.server.store.end_session(token.token.session.id)


def invalid_scope(error: UnknownScopes) -> OAuth2Error:
    # Names come from the caller: only what RFC 6749, 5.2 lets into a description goes back.
    names = "".join(c for c in " ".join(error.names) if " " <= c <= "~" and c not in '"\\')
    return InvalidScopeError(f"Invalid scopes: {names}")
