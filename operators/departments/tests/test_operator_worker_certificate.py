"""The certificate of a department's worker: whom it names, who signs it, when it is made again."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from plaza_kit.certificates import Authority
from plaza_operator.domain.errors import WorkersAuthorityMissing
from plaza_operator.domain.platform import Platform
from plaza_operator.domain.spec import Department
from plaza_operator.owned import credentials, worker, worker_certificate
from plaza_operator.owned.worker_certificate import LIFE, Signer

NOW = datetime.now(UTC)


def new_authority(signer: Signer) -> None:
    certificate, key = Authority.new("workers", NOW, timedelta(days=365)).pem()
    signer.certificate.write_bytes(certificate)
    signer.key.write_bytes(key)


def shown(body: Any) -> x509.Certificate:
    return x509.load_pem_x509_certificate(base64.b64decode(body["data"]["tls.crt"]))


def test_it_names_its_department_and_brings_no_other_key(department: Department, signer: Signer) -> None:
    made = worker_certificate.desired(department, signer, None, NOW)
    assert (made.namespace, made.name) == ("dept-ecology", "worker-tls")
    names = shown(made.body).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.UniformResourceIdentifier("spiffe://plaza.city/department/ecology/worker")]
    usage = shown(made.body).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.ExtendedKeyUsageOID.CLIENT_AUTH]
    held = {name: base64.b64decode(value) for name, value in made.body["data"].items()}
    assert held["ca.crt"] == signer.city.read_bytes()
    assert set(held) == {"tls.crt", "tls.key", "ca.crt"}
    assert held["tls.key"] != signer.key.read_bytes()


def test_it_is_kept_until_two_thirds_of_its_life_are_over(department: Department, signer: Signer) -> None:
    made = worker_certificate.desired(department, signer, None, NOW)
    again = worker_certificate.desired(department, signer, made.body, NOW + LIFE / 2)
    assert credentials.as_wanted(made.body, again), "a second look writes nothing"
    renewed = worker_certificate.desired(department, signer, made.body, NOW + LIFE * 3 / 4)
    assert shown(renewed.body) != shown(made.body)


def test_another_departments_certificate_is_replaced(
    department: Department, make_department: Any, signer: Signer
) -> None:
    other = worker_certificate.desired(make_department("transport"), signer, None, NOW)
    made = worker_certificate.desired(department, signer, other.body, NOW)
    assert shown(made.body) != shown(other.body)


@pytest.mark.parametrize("data", [{}, {"tls.crt": "%%%"}, {"tls.crt": "eA==", "tls.key": "eA=="}])
def test_a_spoilt_one_is_made_again(department: Department, signer: Signer, data: dict[str, str]) -> None:
    made = worker_certificate.desired(department, signer, {"metadata": {}, "data": data}, NOW)
    assert shown(made.body)


def test_another_authority_signs_anew_and_another_city_is_only_told(
    department: Department, signer: Signer
) -> None:
    made = worker_certificate.desired(department, signer, None, NOW)
    signer.city.write_bytes(signer.city.read_bytes() * 2)
    told = worker_certificate.desired(department, signer, made.body, NOW)
    assert not credentials.as_wanted(made.body, told)
    assert shown(told.body) == shown(made.body)
    new_authority(signer)
    assert shown(worker_certificate.desired(department, signer, told.body, NOW).body) != shown(made.body)


def test_without_an_authority_the_reason_is_said(department: Department, signer: Signer) -> None:
    signer.key.unlink()
    with pytest.raises(WorkersAuthorityMissing, match=r"tls\.key"):
        worker_certificate.desired(department, signer, None, NOW)


def test_the_worker_reads_it_from_its_secret(department: Department, platform: Platform) -> None:
    plain, secured = (
        worker.desired(department, one, 1, "f").body["spec"]["template"]["spec"]
        for one in (platform, replace(platform, worker_tls=True))
    )
    assert "tls" not in {volume["name"] for volume in plain["volumes"]}
    (volume,) = (volume for volume in secured["volumes"] if volume["name"] == "tls")
    assert volume["secret"] == {"secretName": "worker-tls", "defaultMode": 0o440}
    container = secured["containers"][0]
    (mount,) = (mount for mount in container["volumeMounts"] if mount["name"] == "tls")
    assert mount["readOnly"]
    assert "subPath" not in mount
    values = {entry["name"]: entry.get("value", "") for entry in container["env"]}
    told = {values[f"PLAZA_TLS_{what}_FILE"] for what in ("CERT", "KEY", "CA")}
    assert told == {f"{mount['mountPath']}/{name}" for name in ("tls.crt", "tls.key", "ca.crt")}
