"""Publishing the policy bundle."""

from __future__ import annotations

from datetime import UTC, datetime

from plaza_kit.policy import BUNDLE_TYPE, Resource
from plaza_kit.signing import SigningKey
from plaza_kit.statements import sign_statement

from plaza_security.usecases.authority import Authority
from plaza_security.usecases.leavers import Leavers


class BundleService:
    """Signs the bundle in force for other services."""

    def __init__(self, authority: Authority, key: SigningKey, leavers: Leavers | None = None) -> None:
        self._authority = authority
        self._key = key
        self._leavers = leavers

    def get(self, etag: str) -> tuple[str, str]:
        """The signed bundle (empty when `etag` is current) and its etag. Raises NotPermitted."""
        self._authority.authorize("bundle.read", Resource.system())
        bundle = self._authority.bundle()
        if etag == bundle.etag:
            return "", etag
        return sign_statement(bundle.claims(datetime.now(UTC)), typ=BUNDLE_TYPE, key=self._key), bundle.etag

    def leavers_age(self) -> float | None:
        """Seconds since the issuer was asked, with success, whose accounts are closed; None: nobody asks it."""
        return None if self._leavers is None else self._leavers.age()
