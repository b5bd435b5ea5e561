"""Certificates and authorities over the years, by clocks that the tests set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from plaza_kit.authority_rotation import HEARD, LIFE, trusted_by, turned
from plaza_kit.certificates import AUTHORITIES, CERTIFICATE, KEY, Authority, BadAuthority, Holder

NOW = datetime(2026, 11, 21, tzinfo=UTC)
MONTH = timedelta(days=30)
CATALOGUE = Holder("plaza-catalogue", ("plaza-catalogue", "plaza-catalogue.plaza.svc"))


@pytest.fixture(scope="module")
def city() -> Authority:
    return Authority.new("city", NOW, LIFE)


def shown(data: dict[str, bytes]) -> x509.Certificate:
    return x509.load_pem_x509_certificate(data[CERTIFICATE])


def test_a_certificate_is_kept_for_two_thirds_of_its_life(city: Authority) -> None:
    data = city.issue(CATALOGUE, NOW, MONTH)
    assert city.keeps(data, CATALOGUE, NOW)
    assert city.keeps(data, CATALOGUE, NOW + timedelta(days=19))
    assert not city.keeps(data, CATALOGUE, NOW + timedelta(days=21))


def test_what_does_not_fit_is_not_kept(city: Authority) -> None:
    data = city.issue(CATALOGUE, NOW, MONTH)
    namesake = Authority.new("city", NOW, LIFE)
    assert namesake.certificate.subject == city.certificate.subject
    assert not namesake.keeps(data, CATALOGUE, NOW)
    assert not city.keeps(data, Holder("plaza-catalogue", ("other",)), NOW)
    assert not city.keeps({**data, KEY: city.issue(CATALOGUE, NOW, MONTH)[KEY]}, CATALOGUE, NOW)
    assert not city.keeps({**data, KEY: b"spoilt"}, CATALOGUE, NOW)
    assert not city.keeps({}, CATALOGUE, NOW)


def test_nobody_outlives_the_authority(city: Authority) -> None:
    late = city.issue(CATALOGUE, NOW + LIFE - timedelta(days=3), MONTH)
    assert shown(late).not_valid_after_utc == city.certificate.not_valid_after_utc


def test_who_has_no_host_name_may_only_call(city: Authority) -> None:
    worker = Holder("ecology-worker", uri="spiffe://plaza.city/department/ecology/worker")
    found = shown(city.issue(worker, NOW, MONTH)).extensions
    usage = found.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.ExtendedKeyUsageOID.CLIENT_AUTH]
    names = found.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [worker.uri]


def test_what_is_no_authority_is_refused(city: Authority) -> None:
    leaf = city.issue(CATALOGUE, NOW, MONTH)
    with pytest.raises(BadAuthority, match="may not sign others"):
        Authority.read(leaf[CERTIFICATE], leaf[KEY])
    with pytest.raises(BadAuthority, match="the key is another's"):
        Authority.read(city.pem()[0], leaf[KEY])
    with pytest.raises(BadAuthority, match="neither ECDSA nor RSA"):
        key = ed25519.Ed25519PrivateKey.generate()
        Authority.read(city.pem()[0], key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(BadAuthority):
        turned({}, "city", NOW)
    assert "PRIVATE" not in repr(city)


def test_at_every_moment_everybody_trusts_what_everybody_shows() -> None:
    """Eight years, one look a day; a pod reads its Secret anew at some time within two minutes."""
    now, data = NOW, turned(None, "city", NOW)
    signers = []
    while now < NOW + timedelta(days=8 * 365):
        now += timedelta(days=1)
        before, data = data, turned(data, "city", now)
        assert turned(data, "city", now) == data, "a second look changes nothing"
        signing, was_signing = shown(data), shown(before)
        if signing != was_signing:
            signers.append(signing)
            # The pod that has not read yet trusts the new one, the pod that has trusts the old one.
            assert signing in trusted_by(before)
            assert was_signing in trusted_by(data)
            assert was_signing.not_valid_after_utc > now + MONTH
        assert all(one.not_valid_after_utc > now for one in trusted_by(data))
        assert len(trusted_by(data)) <= 2
    assert len(signers) >= 3


def test_an_authority_that_has_ended_signs_nothing_and_is_replaced_at_once(city: Authority) -> None:
    late = NOW + LIFE
    with pytest.raises(BadAuthority, match="it ended on"):
        city.issue(CATALOGUE, late, MONTH)
    data = turned(None, "city", NOW)
    after = turned(data, "city", late)
    assert shown(after).not_valid_before_utc > NOW
    assert trusted_by(after) == [shown(after)]


def test_a_successor_signs_only_when_everybody_has_heard_of_it() -> None:
    data = turned(None, "city", NOW)
    later = NOW + LIFE * 3 / 4
    announced = turned(data, "city", later)
    assert shown(announced) == shown(data)
    assert len(trusted_by(announced)) == 2
    assert turned(announced, "city", later + HEARD / 2) == announced
    assert shown(turned(announced, "city", later + HEARD)) in trusted_by(announced)
    assert len(trusted_by({**announced, AUTHORITIES: b""})) == 1
