"""What can be wrong with a token, or with whoever issues it."""

from __future__ import annotations

from plaza_kit.errors import FailedPrecondition, Unauthenticated, Unavailable

LOG_IN_AGAIN = "Log in again and repeat the request with the new token."


class TokenExpired(Unauthenticated):
    """The token was good and its time is over."""

    def __init__(self, expired_seconds_ago: int) -> None:
        super().__init__(
            f"The access token expired {expired_seconds_ago} s ago.",
            remedy="Refresh the token, or log in again.",
            facts={"expired_seconds_ago": str(expired_seconds_ago)},
        )


class BadToken(Unauthenticated):
    """The token does not hold. `why` is one word for programs, the message one sentence for people.

    Words: malformed, algorithm, unknown_key, signature, issuer, audience, type, not_yet_valid, claims.
    """

    def __init__(self, why: str, sentence: str) -> None:
        super().__init__(sentence, remedy=LOG_IN_AGAIN, facts={"why": why})
        self.why = why


class IssuerUnavailable(Unavailable):
    """The identity issuer cannot be asked, and nothing that it said before is of use here."""

    def __init__(self, issuer: str, what: str) -> None:
        super().__init__(
            f"The identity issuer {issuer} cannot be used: {what}.",
            remedy="See that the issuer runs and that its address is the one configured; then try again.",
            facts={"issuer": issuer},
        )


class ClientRefused(FailedPrecondition):
    """The issuer refuses our own client id and secret: waiting will not help."""

    def __init__(self, issuer: str, client_id: str, error: str) -> None:
        super().__init__(
            f"The identity issuer {issuer} refuses the client {client_id} ({error}).",
            remedy="See that the client is in the realm and that its secret is the one configured.",
            facts={"issuer": issuer, "client_id": client_id, "error": error},
        )
