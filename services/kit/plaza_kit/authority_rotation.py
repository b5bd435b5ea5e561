"""One authority after another, so that at no moment somebody shows what somebody else does not trust yet.

A successor is made when two thirds of an authority's life are over. First everybody is told to trust it; not before
everybody must have heard, it signs; the one before is trusted until it ends.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from plaza_kit.certificates import AUTHORITIES, CERTIFICATE, KEY, Authority, Data, due

NEXT_CERTIFICATE: Final = "next.crt"
NEXT_KEY: Final = "next.key"
LIFE: Final = timedelta(days=3 * 365)
HEARD: Final = timedelta(hours=1)
"""After so long every pod has read what its Secret holds (the kubelet takes two minutes at most)."""


def turned(found: Data | None, name: str, now: datetime) -> dict[str, bytes]:
    """What the authority's Secret must hold now: who signs, who will, and all who are trusted.

    The same as found, mostly. To be asked at least once in a sixth of `LIFE`. Raises BadAuthority for a Secret that
    holds something else: a lost authority is not replaced in silence, for everybody would stop trusting everybody.
    """
    if found is None:
        first = Authority.new(name, now, LIFE)
        return _written(first, None, [], now)
    signing = Authority.read(found.get(CERTIFICATE, b""), found.get(KEY, b""))
    after = Authority.read(found[NEXT_CERTIFICATE], found[NEXT_KEY]) if NEXT_CERTIFICATE in found else None
    trusted = trusted_by(found)
    if after is not None and now - after.certificate.not_valid_before_utc >= HEARD:
        return _written(after, None, trusted, now)
    if signing.certificate.not_valid_after_utc <= now:
        return turned(None, name, now)  # nobody has looked for a year: there is nothing left to be careful of
    if after is None and due(signing.certificate, now):
        after = Authority.new(name, now, LIFE)
    return _written(signing, after, trusted, now)


def trusted_by(found: Data) -> list[x509.Certificate]:
    """Those in the bundle; without one, the authority alone. Raises ValueError where it is no PEM."""
    return x509.load_pem_x509_certificates(found.get(AUTHORITIES) or found[CERTIFICATE])


def _written(
    signing: Authority, after: Authority | None, trusted: list[x509.Certificate], now: datetime
) -> dict[str, bytes]:
    certificate, key = signing.pem()
    data = {CERTIFICATE: certificate, KEY: key}
    bundle = [*trusted, signing.certificate]
    if after is not None:
        data[NEXT_CERTIFICATE], data[NEXT_KEY] = after.pem()
        bundle.append(after.certificate)
    good = [one for one in dict.fromkeys(bundle) if one.not_valid_after_utc > now]
    return {**data, AUTHORITIES: b"".join(one.public_bytes(Encoding.PEM) for one in good)}
