"""The certificate that the department's worker shows ingestion, and whom it believes to be ingestion.

It names the department and is good for calls alone. Of the city the department gets the authority's certificate, no
key. The worker reads its files again when they change, so that a renewal restarts nothing.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from plaza_kit.certificates import AUTHORITIES, Authority, BadAuthority, Holder
from plaza_kit.rpc.tls import worker_uri

from plaza_operator.domain.children import SECRET, Child, child
from plaza_operator.domain.errors import WorkersAuthorityMissing
from plaza_operator.domain.spec import Department
from plaza_operator.kube import Kube
from plaza_operator.owned import credentials

NAME = "worker-tls"
LIFE = timedelta(days=30)
"""Renewed after two thirds of it."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Files of the workers' authority and of the city's, read each time: they are renewed where they lie."""

    certificate: Path
    key: Path
    city: Path

    def authority(self) -> Authority:
        """Who signs. Raises OSError, BadAuthority."""
        return Authority.read(self.certificate.read_bytes(), self.key.read_bytes())


def desired(department: Department, signer: Signer, live: Mapping[str, Any] | None, now: datetime) -> Child:
    """The Secret as it must be: what it holds, unless that is due, spoilt, or another authority's. Raises
    WorkersAuthorityMissing."""
    holder = Holder(department.client_id, uri=worker_uri(department.name))
    data = _decoded((live or {}).get("data") or {})
    try:
        authority, city = signer.authority(), signer.city.read_bytes()
        if not authority.keeps(data, holder, now):
            data = authority.issue(holder, now, LIFE)
    except (OSError, BadAuthority) as error:
        raise WorkersAuthorityMissing(
            f"no certificate can be made for the worker: {error}; see that {signer.certificate} and {signer.key} "
            "hold the authority of workers"
        ) from error
    wanted = {**data, AUTHORITIES: city}
    encoded = {name: base64.b64encode(value).decode() for name, value in wanted.items()}
    return child(SECRET, department, NAME, {"type": "Opaque", "data": encoded})


async def ensure(kube: Kube, signer: Signer | None, department: Department) -> list[str]:
    """The Secret is as it must be; answers what was done. Nothing where connections are plain."""
    if signer is None:
        return []
    live = await kube.get(SECRET, NAME, department.namespace)
    wanted = desired(department, signer, live, datetime.now(UTC))
    if credentials.as_wanted(live, wanted):
        return []
    await kube.apply(wanted)
    return [f"certificate {NAME} written"]


def _decoded(data: Mapping[str, str]) -> dict[str, bytes]:
    try:
        return {name: base64.b64decode(value, validate=True) for name, value in data.items()}
    except binascii.Error:
        return {}
