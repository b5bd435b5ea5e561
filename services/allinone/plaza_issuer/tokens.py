"""Makes the tokens: access and ID tokens as signed JWTs, refresh tokens as random texts that rotate."""

from __future__ import annotations

import hashlib
import secrets
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass

from .claims import Claims, GrantedScope, grant_scope, mapped_claims
from .keys import SigningKey
from .model import Account, Client, Realm
from .store import RefreshToken, Session, Store, digest_of


@dataclass(frozen=True, slots=True)
class TokenMaker:
    """Everything that leaves the issuer as a token is made here."""

    realm: Realm
    issuer: str
    """The `iss` of every token."""
    key: SigningKey
    store: Store
    clock: Callable[[], float] = time.time
    """Seconds since the epoch."""

    def for_client(self, client: Client, asked: str | None) -> dict[str, object]:
        """A client acts for itself: an access token, no session (RFC 6749, 4.4.3). Raises UnknownScopes."""
        scope = grant_scope(client, asked)
        return self._answer(client, self.realm.service_accounts[client.id], scope, None)

    def for_person(
        self, client: Client, account: Account, asked: str | None, nonce: str = ""
    ) -> dict[str, object]:
        """A person has logged in: a session begins. Raises UnknownScopes."""
        scope = grant_scope(client, asked)
        now = self.clock()
        self.store.forget_expired(now)
        expires_at = now + self.realm.lifetimes.session_max
        session = Session(str(uuid.uuid4()), account.id, client.id, scope.text, expires_at, ended=False)
        self.store.start_session(session)
        return self._answer(client, account, scope, session, nonce)

    def for_refresh(
        self, client: Client, account: Account, asked: str | None, used: RefreshToken
    ) -> dict[str, object]:
        """The session goes on: new tokens, and the old refresh token is spent. Raises UnknownScopes."""
        scope = grant_scope(client, asked)
        self.store.use_refresh_token(used.digest)
        return self._answer(client, account, scope, used.session)

    def _answer(
        self,
        client: Client,
        account: Account,
        scope: GrantedScope,
        session: Session | None,
        nonce: str = "",
    ) -> dict[str, object]:
        """RFC 6749, 5.1, with the members that Keycloak adds."""
        access = self.key.sign(self._access_claims(client, account, scope, session))
        answer: dict[str, object] = {
            "access_token": access,
            "expires_in": self.realm.lifetimes.access_token,
            "token_type": "Bearer",
            "scope": scope.text,
        }
        if session is not None:
            refresh, seconds = self._refresh_token(session)
            answer |= {"refresh_token": refresh, "refresh_expires_in": seconds, "session_state": session.id}
            if scope.openid:
                claims = self._id_claims(client, account, scope, session, access)
                answer["id_token"] = self.key.sign(claims | ({"nonce": nonce} if nonce else {}))
        return answer

    def _refresh_token(self, session: Session) -> tuple[str, int]:
        now = self.clock()
        expires_at = min(now + self.realm.lifetimes.session_idle, session.expires_at)
        value = secrets.token_urlsafe(32)
        self.store.add_refresh_token(digest_of(value), session.id, expires_at)
        return value, int(expires_at - now)

    def _access_claims(
        self, client: Client, account: Account, scope: GrantedScope, session: Session | None
    ) -> Claims:
        claims = self._common(client, "Bearer", session) | {"scope": scope.text}
        return claims | mapped_claims("access", client, account, scope)

    def _id_claims(
        self, client: Client, account: Account, scope: GrantedScope, session: Session, access: str
    ) -> Claims:
        # OpenID Connect Core 1.0, 3.1.3.6: the left half of the hash that the signature uses.
        half = hashlib.sha256(access.encode()).digest()[:16]
        return (
            self._common(client, "ID", session)
            | mapped_claims("id", client, account, scope)
            | {"aud": client.id, "sub": account.id}
            | {"at_hash": urlsafe_b64encode(half).rstrip(b"=").decode()}
        )

    def _common(self, client: Client, kind: str, session: Session | None) -> Claims:
        now = int(self.clock())
        claims: Claims = {
            "exp": now + self.realm.lifetimes.access_token,
            "iat": now,
            "jti": str(uuid.uuid4()),
            "iss": self.issuer,
            "typ": kind,
            "azp": client.id,
        }
        return claims if session is None else claims | {"sid": session.id}
