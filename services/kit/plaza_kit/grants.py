"""The two signed permissions: a *read grant* (rows) and a *run grant* (a job). Security signs, others verify.

A grant is data about a decision already taken: whoever holds the verifying keys can check it offline and
needs no further question. Both sides check the same rules, so that neither a careless signer nor an old
verifier widens a permission.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from plaza_kit.errors import PermissionDenied
from plaza_kit.identity import Principal, PrincipalKind
from plaza_kit.signing import KeyFinder, SigningKey
from plaza_kit.statements import BadStatement, UnsignableStatement, sign_statement, verify_statement

READ_GRANT_TYP: Final = "plaza-read-grant+jwt"
RUN_GRANT_TYP: Final = "plaza-run-grant+jwt"
MAX_READ_LIFETIME: Final = timedelta(seconds=60)
"""So long may a withdrawn right still read; longer streams renew their grant."""
TABLES: Final = ("rows", "quarantine")


class GrantRefused(PermissionDenied):
    """A grant does not permit this, here, now. `failed` says why: a word of `BadStatement`, `lifetime`, or
    the name of the member that is wrong."""

    def __init__(self, failed: str, message: str, *, remedy: str = "Ask security for a new grant.") -> None:
        super().__init__(message, remedy=remedy, facts={"failed": failed})
        self.failed = failed


@dataclass(frozen=True, slots=True)
class ReadGrant:
    """Who may read which rows of one table, in which form, through which service. Times travel in whole
    seconds; a fraction is cut off on signing."""

    grant_id: str
    principal: str
    """`people/<sub>` or `machines/<client_id>`."""
    audience: str
    """The one service that may use it: `sharing`, `quality`, …"""
    dataset: str
    """`departments/ecology/datasets/air-quality`"""
    table: str
    """`rows` or `quarantine`."""
    version: int | None
    """None: the newest committed."""
    columns: tuple[str, ...] | None
    """None: all. Never empty."""
    row_filter: str
    """AIP-160 text; empty: all rows."""
    masks: tuple[tuple[str, str], ...]
    """(column, mask expression), one for a column at most; empty: none."""
    purpose: str
    agreement: str
    """Empty where no agreement is needed: a department reading its own data."""
    issued_at: datetime
    expires_at: datetime
    """At most `MAX_READ_LIFETIME` after `issued_at`."""


@dataclass(frozen=True, slots=True)
class RunGrant:
    """A job's right: who started it, for what, until when. The job acts with no more than that person had."""

    run: str
    """`departments/{d}/runs/{id}`"""
    action: str
    dataset: str
    principal: str
    username: str
    departments: tuple[str, ...]
    roles: tuple[str, ...]
    issued_at: datetime
    expires_at: datetime

    @property
    def starter(self) -> Principal:
        """Who started the job, with the rights they had then; today's policy decides about them."""
        collection, _, subject = self.principal.partition("/")
        kind = PrincipalKind.MACHINE if collection == "machines" else PrincipalKind.PERSON
        return Principal(
            subject=subject,
            username=self.username,
            display_name=self.username,
            kind=kind,
            departments=frozenset(self.departments),
            roles=frozenset(self.roles),
            client_id=subject if kind is PrincipalKind.MACHINE else "",
            token="",
            expires_at=self.expires_at,
        )


def sign_read_grant(grant: ReadGrant, key: SigningKey) -> str:
    """The grant as a compact JWS. Raises `GrantRefused` when the grant breaks a rule of its own."""
    _check_read(grant)
    claims = {
        "jti": grant.grant_id,
        "sub": grant.principal,
        "aud": grant.audience,
        "dataset": grant.dataset,
        "table": grant.table,
        "version": grant.version,
        "columns": None if grant.columns is None else list(grant.columns),
        "row_filter": grant.row_filter,
        "masks": [list(mask) for mask in grant.masks],
        "purpose": grant.purpose,
        "agreement": grant.agreement,
    }
    return _sign(claims, grant, READ_GRANT_TYP, key)


def sign_run_grant(grant: RunGrant, key: SigningKey) -> str:
    """The grant as a compact JWS. Raises `GrantRefused` when the grant breaks a rule of its own."""
    _check_run(grant)
    claims = {
        "run": grant.run,
        "action": grant.action,
        "dataset": grant.dataset,
        "sub": grant.principal,
        "username": grant.username,
        "departments": list(grant.departments),
        "roles": list(grant.roles),
    }
    return _sign(claims, grant, RUN_GRANT_TYP, key)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class GrantVerifier:
    """Reads grants for one service: `audience` is its name, `keys` are security's."""

    def __init__(self, keys: KeyFinder, audience: str, clock: Callable[[], datetime] = _utc_now) -> None:
        self._keys = keys
        self._audience = audience
        self._clock = clock

    def read(self, token: str) -> ReadGrant:
        """The read grant, if it holds now and for this service. Raises `GrantRefused`."""
        members = _Members(self._verify(token, READ_GRANT_TYP, self._audience))
        grant = ReadGrant(
            grant_id=members.text("jti"),
            principal=members.text("sub"),
            audience=members.text("aud"),
            dataset=members.text("dataset"),
            table=members.text("table"),
            version=members.optional_int("version"),
            columns=members.optional_texts("columns"),
            row_filter=members.text("row_filter"),
            masks=members.pairs("masks"),
            purpose=members.text("purpose"),
            agreement=members.text("agreement"),
            issued_at=members.time("iat"),
            expires_at=members.time("exp"),
        )
        members.refuse_others()
        _check_read(grant)
        return grant

    def run(self, token: str) -> RunGrant:
        """The run grant, if it holds now. It names no audience: every service on the job's way uses it.
        Raises `GrantRefused`."""
        members = _Members(self._verify(token, RUN_GRANT_TYP, None))
        grant = RunGrant(
            run=members.text("run"),
            action=members.text("action"),
            dataset=members.text("dataset"),
            principal=members.text("sub"),
            username=members.text("username"),
            departments=members.texts("departments"),
            roles=members.texts("roles"),
            issued_at=members.time("iat"),
            expires_at=members.time("exp"),
        )
        members.refuse_others()
        _check_run(grant)
        return grant

    def _verify(self, token: str, typ: str, audience: str | None) -> dict[str, Any]:
        try:
            return verify_statement(token, typ=typ, keys=self._keys, audience=audience, now=self._clock())
        except BadStatement as error:
            raise GrantRefused(
                error.failed, f"grant refused: {error.message}", remedy=error.remedy
            ) from error


def _sign(claims: dict[str, Any], grant: ReadGrant | RunGrant, typ: str, key: SigningKey) -> str:
    times = {"iat": int(grant.issued_at.timestamp()), "exp": int(grant.expires_at.timestamp())}
    try:
        return sign_statement(claims | times, typ=typ, key=key)
    except UnsignableStatement as error:
        raise GrantRefused(
            "claims", f"grant not signed: {error.message}", remedy="Correct its members."
        ) from error


def _check_read(grant: ReadGrant) -> None:
    _check_present(grant, ("grant_id", "principal", "audience", "dataset", "purpose"))
    _check_times(grant)
    if grant.expires_at - grant.issued_at > MAX_READ_LIFETIME:
        lifetime = (grant.expires_at - grant.issued_at).total_seconds()
        limit = MAX_READ_LIFETIME.total_seconds()
        raise GrantRefused(
            "lifetime",
            f"read grant {grant.grant_id} would live {lifetime:g} s, the limit is {limit:g} s",
            remedy="Ask for a shorter grant and renew it.",
        )
    if grant.table not in TABLES:
        raise GrantRefused("table", f"read grant for table {grant.table!r}; there are {' and '.join(TABLES)}")
    if grant.version is not None and grant.version < 1:
        raise GrantRefused("version", f"read grant for version {grant.version}; versions count from 1")
    if grant.columns is not None and (not grant.columns or len(set(grant.columns)) < len(grant.columns)):
        raise GrantRefused("columns", "read grant must name at least one column, each once, or None for all")
    if len({column for column, _ in grant.masks}) < len(grant.masks):
        raise GrantRefused("masks", "read grant has two masks for one column")


def _check_run(grant: RunGrant) -> None:
    _check_present(grant, ("run", "action", "principal"))
    _check_times(grant)


def _check_present(grant: ReadGrant | RunGrant, names: tuple[str, ...]) -> None:
    for name in names:
        if not getattr(grant, name):
            raise GrantRefused(name, f"grant without {name}")


def _check_times(grant: ReadGrant | RunGrant) -> None:
    if grant.issued_at.tzinfo is None or grant.expires_at.tzinfo is None:
        raise GrantRefused("lifetime", "times of a grant need a time zone", remedy="Use UTC.")
    if int(grant.expires_at.timestamp()) <= int(grant.issued_at.timestamp()):
        raise GrantRefused("lifetime", "grant would end before it begins", remedy="Correct the times.")


class _Members:
    """Typed reading of claims. What nobody asked for is refused at the end: a newer signer may have added a
    restriction there, and an older verifier must not read past it."""

    def __init__(self, claims: Mapping[str, Any]) -> None:
        self._claims = claims
        self._seen: set[str] = set()

    def _get(self, name: str) -> object:
        self._seen.add(name)
        if name not in self._claims:
            raise GrantRefused(name, f"grant refused: member {name} is missing")
        return self._claims[name]

    def _wrong(self, name: str, expected: str) -> GrantRefused:
        return GrantRefused(name, f"grant refused: member {name} must be {expected}")

    def text(self, name: str) -> str:
        value = self._get(name)
        if not isinstance(value, str):
            raise self._wrong(name, "a text")
        return value

    def optional_int(self, name: str) -> int | None:
        value = self._get(name)
        if value is not None and type(value) is not int:
            raise self._wrong(name, "a whole number or null")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        value = self._get(name)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(name, "a list of texts")
        return tuple(value)

    def optional_texts(self, name: str) -> tuple[str, ...] | None:
        return None if self._get(name) is None else self.texts(name)

    def pairs(self, name: str) -> tuple[tuple[str, str], ...]:
        value = self._get(name)
        if not isinstance(value, list):
            raise self._wrong(name, "a list of pairs of texts")
        pairs = []
        for item in value:
            match item:
                case [str(first), str(second)]:
                    pairs.append((first, second))
                case _:
                    raise self._wrong(name, "a list of pairs of texts")
        return tuple(pairs)

    def time(self, name: str) -> datetime:
        value = self._get(name)
        if type(value) is not int:
            raise self._wrong(name, "whole seconds since 1970")
        try:
            return datetime.fromtimestamp(value, UTC)
        except (OverflowError, ValueError, OSError) as error:
            raise self._wrong(name, "seconds of a year before 10000") from error

    def refuse_others(self) -> None:
        others = sorted(set(self._claims) - self._seen)
        if others:
            raise GrantRefused(
                "claims",
                f"grant refused: unknown members {', '.join(others)}",
                remedy="Upgrade this service to the version that security runs.",
            )
