"""The certificates between pods, made and renewed: `python -m plaza_kit.cluster_certificates`, by a Job of the chart.

It runs at every installation and upgrade, and once a day. The authority is made and turned here, or brought by the
platform team; another one signs the certificates of departments' workers, which the operator makes: no service but
ingestion trusts it. A Secret that somebody else made is never overwritten.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from plaza_kit import telemetry
from plaza_kit.authority_rotation import trusted_by, turned
from plaza_kit.certificates import AUTHORITIES, CERTIFICATE, KEY, Authority, BadAuthority, Holder
from plaza_kit.cluster_objects import FoundSecret, Objects, in_cluster
from plaza_kit.errors import Aborted, FailedPrecondition, PlazaError
from plaza_kit.settings import BadSettings, load

LIFE: Final = timedelta(days=30)
"""Of a pod's certificate; it is renewed after two thirds of it, so that the Job may fail for days."""

_CITY: Final = "Plaza"
_WORKERS: Final = "Plaza workers"


class NotOurs(FailedPrecondition):
    """A Secret of the name was made by somebody else."""


class MadeAtTheSameTime(Aborted):
    """Two runs met."""


class AuthorityMissing(FailedPrecondition):
    """The authority that somebody was to bring is not there."""


class CertificateSettings(BaseSettings):
    """Names of the Secrets."""

    model_config = SettingsConfigDict(env_prefix="PLAZA_CERTIFICATES_", extra="ignore", frozen=True)

    authority: str = Field(default="", description="Secret of the authority of all pods; empty: none of them")
    supplied: bool = Field(default=False, description="the authority is brought by somebody: only read it")
    workers: str = Field(
        default="", description="Secret of the authority of departments' workers; empty: none"
    )
    holders: dict[str, tuple[str, ...]] = Field(
        default={}, description="by the name of a Secret the DNS names in its certificate, as JSON"
    )


def ensure(objects: Objects, settings: CertificateSettings, now: datetime) -> None:
    """Make and renew what is due. Raises NotOurs, AuthorityMissing, BadAuthority, MadeAtTheSameTime,
    ClusterUnavailable; may run as often as one likes."""
    if settings.workers:
        _turn(objects, settings.workers, _WORKERS, now)
    if not settings.authority:
        return
    if settings.supplied:
        held = objects.find_secret(settings.authority)
        if held is None:
            raise AuthorityMissing(
                f"there is no Secret {settings.authority}",
                remedy=f"Make it, with {CERTIFICATE} and {KEY} of the authority, and {AUTHORITIES} with all that "
                "are trusted.",
            )
        data: Mapping[str, bytes] = held.data
    else:
        data = _turn(objects, settings.authority, _CITY, now)
    authority = Authority.read(data.get(CERTIFICATE, b""), data.get(KEY, b""))
    bundle = _bundle(settings.authority, data)
    for secret, hosts in settings.holders.items():
        _certify(objects, secret, Holder(hosts[0], hosts), authority, bundle, now)


def _turn(objects: Objects, name: str, title: str, now: datetime) -> dict[str, bytes]:
    found = _ours(objects, name)
    data = turned(found.data if found else None, title, now)
    _write(objects, name, found, data)
    return data


def _certify(
    objects: Objects, secret: str, holder: Holder, authority: Authority, bundle: bytes, now: datetime
) -> None:
    found = _ours(objects, secret)
    data = {} if found is None else found.data
    if not authority.keeps(data, holder, now):
        data = authority.issue(holder, now, LIFE)
    _write(objects, secret, found, {**data, AUTHORITIES: bundle})


def _bundle(name: str, data: Mapping[str, bytes]) -> bytes:
    try:
        return b"".join(one.public_bytes(Encoding.PEM) for one in trusted_by(data))
    except ValueError as error:
        raise BadAuthority(
            f"{AUTHORITIES} of Secret {name} holds no certificates: {error}",
            remedy="Put those of all authorities that are trusted there, in PEM.",
        ) from error


def _ours(objects: Objects, name: str) -> FoundSecret | None:
    found = objects.find_secret(name)
    if found is not None and not found.ours:
        raise NotOurs(
            f"the Secret {name} was made by somebody else",
            remedy="Set tls.mode to `secrets` if it is to be used; delete it if it is not.",
        )
    return found


def _write(objects: Objects, name: str, found: FoundSecret | None, data: Mapping[str, bytes]) -> None:
    if found is None:
        if not objects.make("secrets", name, data, for_ever=False):
            # What this run holds is not what the pods get: the next run begins with what is there.
            raise MadeAtTheSameTime(f"the Secret {name} was made by another run at the same time")
    elif found.data != data:
        objects.replace(found, data)


def main() -> None:
    """Exits with a message when it cannot; the Job tries again."""
    try:
        settings = load(CertificateSettings)
        telemetry.configure("certificates")
        ensure(in_cluster("certificates"), settings, datetime.now(UTC))
    except BadSettings as error:
        sys.exit(f"plaza-certificates: {error}")
    except PlazaError as error:
        sys.exit(f"plaza-certificates: {error.message}. {error.remedy}")


if __name__ == "__main__":
    main()
