"""Making certificates: an authority, what it signs, and when either is due for another one.

Nothing here reads a clock, a file or a cluster. Texts are PEM; times are UTC. Certificates are X.509 v3 (RFC 5280).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from plaza_kit.errors import InvalidArgument

CERTIFICATE: Final = "tls.crt"
KEY: Final = "tls.key"
AUTHORITIES: Final = "ca.crt"
"""The three keys of a Secret, as Kubernetes and cert-manager name them."""

Data = Mapping[str, bytes]
"""Content of a Secret."""
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_CLOCKS_DIFFER: Final = timedelta(minutes=5)


class BadAuthority(InvalidArgument):
    """What should be an authority's certificate and key is not."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Whom a certificate names."""

    name: str
    hosts: tuple[str, ...] = ()
    """DNS names that it serves under; without any it may only call."""
    uri: str = ""


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs certificates. `repr` shows no key."""

    certificate: x509.Certificate
    key: Key

    def __repr__(self) -> str:
        return f"Authority({self.certificate.subject.rfc4514_string()})"

    @classmethod
    def new(cls, name: str, now: datetime, life: timedelta) -> Authority:
        """One that signs itself."""
        key = ec.generate_private_key(ec.SECP256R1())
        # The day is part of the name: an authority and its successor are told apart by people too.
        subject = _subject(f"{name} {now:%Y-%m-%d}")
        builder = _builder(subject, subject, key, now, now + life).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def read(cls, certificate: bytes, key: bytes) -> Authority:
        """Raises BadAuthority."""
        try:
            found = x509.load_pem_x509_certificate(certificate)
            private = load_pem_private_key(key, password=None)
            signs = found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        except (ValueError, TypeError, UnsupportedAlgorithm, x509.ExtensionNotFound) as error:
            raise _bad(str(error)) from error
        if not isinstance(private, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise _bad("its key is neither ECDSA nor RSA")
        if not signs or found.public_key() != private.public_key():
            raise _bad("the certificate may not sign others" if not signs else "the key is another's")
        return cls(found, private)

    def pem(self) -> tuple[bytes, bytes]:
        """Certificate and key."""
        return self.certificate.public_bytes(Encoding.PEM), _key_pem(self.key)

    def issue(self, holder: Holder, now: datetime, life: timedelta) -> dict[str, bytes]:
        """A new certificate with its key, good for as long as the authority at most. Raises BadAuthority."""
        if self.certificate.not_valid_after_utc <= now:
            raise _bad(f"it ended on {self.certificate.not_valid_after_utc:%Y-%m-%d}")
        key = ec.generate_private_key(ec.SECP256R1())
        until = min(now + life, self.certificate.not_valid_after_utc)
        usages = [
            ExtendedKeyUsageOID.CLIENT_AUTH,
            *([ExtendedKeyUsageOID.SERVER_AUTH] if holder.hosts else []),
        ]
        certificate = (
            _builder(_subject(holder.name), self.certificate.subject, key, now, until)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(_names(holder), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
            )
            .sign(self.key, hashes.SHA256())
        )
        chain = certificate.public_bytes(Encoding.PEM)
        if self.certificate.issuer != self.certificate.subject:
            # Between us and whom the others trust: they must be shown it.
            chain += self.certificate.public_bytes(Encoding.PEM)
        return {CERTIFICATE: chain, KEY: _key_pem(key)}

    def keeps(self, found: Data, holder: Holder, now: datetime) -> bool:
        """Whether what is there is from this authority, for this holder, whole, and not due."""
        try:
            certificate = x509.load_pem_x509_certificate(found.get(CERTIFICATE, b""))
            key = load_pem_private_key(found.get(KEY, b""), password=None)
            certificate.verify_directly_issued_by(self.certificate)
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.ExtensionNotFound):
            return False
        same = certificate.public_key() == key.public_key() and names == _names(holder)
        return same and not due(certificate, now)


def due(certificate: x509.Certificate, now: datetime) -> bool:
    """Two thirds of its life are over."""
    begun, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return now >= begun + (ends - begun) * 2 / 3


def _bad(why: str) -> BadAuthority:
    return BadAuthority(
        f"this is no authority: {why}",
        remedy=f"Put the authority's certificate into {CERTIFICATE} and its key, not encrypted, into {KEY}.",
    )


def _names(holder: Holder) -> x509.SubjectAlternativeName:
    uri = [x509.UniformResourceIdentifier(holder.uri)] if holder.uri else []
    return x509.SubjectAlternativeName([*map(x509.DNSName, holder.hosts), *uri])


def _subject(name: str) -> x509.Name:
    # RFC 5280, appendix A: a common name has 64 characters at most. Who it is, the alternative names say.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Key, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: Key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
