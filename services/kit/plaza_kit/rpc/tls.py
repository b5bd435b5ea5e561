"""Mutual TLS 1.3 between pods: certificate, key and authority in files that somebody else renews.

A renewed certificate is taken without a restart: a server asks for it at every handshake, a channel before a call
(`RenewedChannel`). Both sides must show a certificate of the authority; who the caller is, is the token's to say.
Where departments' workers call, a second authority is heard too: no channel trusts it, and its certificates name
the department that the caller's token must be of (`department_of`). That nothing older than TLS 1.3 is spoken is
settled in `plaza_kit/__init__.py`, before gRPC is imported.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from plaza_kit import telemetry
from plaza_kit.errors import InvalidArgument

_log = telemetry.log("tls")

_LOOK_SECONDS: Final = 5.0
"""How long files may be newer than what is in use."""
_URIS: Final = "peer_uri"
_WORKER_URI: Final = re.compile(r"spiffe://plaza\.city/department/([a-z0-9-]+)/worker")


class UnusableCertificate(InvalidArgument):
    """The files do not make up a certificate with its key."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where certificate, key and authority lie, each in PEM."""

    certificate: Path
    key: Path
    authority: Path
    workers: Path | None = None
    """The authority of departments' workers. Until the file is there, none of them is let in."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The content of the files at one moment."""

    certificate: bytes
    key: bytes
    authority: bytes
    workers: bytes = b""

    @classmethod
    def read(cls, files: TlsFiles) -> Identity:
        """Raises UnusableCertificate where a file cannot be read, or the key is another certificate's."""
        try:
            found = cls(
                files.certificate.read_bytes(),
                files.key.read_bytes(),
                files.authority.read_bytes(),
                _workers_authority(files),
            )
            x509.load_pem_x509_certificates(found.authority + found.workers)
            certificate = x509.load_pem_x509_certificate(found.certificate)
            key = load_pem_private_key(found.key, password=None)
        except (OSError, ValueError, TypeError) as error:
            raise UnusableCertificate(
                f"the certificate in {files.certificate} cannot be used: {error}",
                remedy="PLAZA_TLS_CERT_FILE, PLAZA_TLS_KEY_FILE and PLAZA_TLS_CA_FILE must name PEM files; "
                "the key must not be encrypted",
            ) from error
        if certificate.public_key() != key.public_key():
            raise UnusableCertificate(
                f"the key in {files.key} is not that of the certificate in {files.certificate}",
                remedy="replace both files together",
            )
        return found

    @property
    def ends(self) -> float:
        """When the certificate ends, in seconds since 1970."""
        return x509.load_pem_x509_certificate(self.certificate).not_valid_after_utc.timestamp()


def _workers_authority(files: TlsFiles) -> bytes:
    if files.workers is None or not files.workers.exists():
        return b""
    return b"\n" + files.workers.read_bytes()


class CurrentIdentity:
    """What the files hold, looked at now and then. Safe to use from several threads."""

    def __init__(self, files: TlsFiles, *, look_seconds: float = _LOOK_SECONDS) -> None:
        """Raises UnusableCertificate."""
        self._files = files
        self._look_seconds = look_seconds
        self._lock = threading.Lock()
        self._looked = time.monotonic()
        self._identity = Identity.read(files)
        telemetry.CERTIFICATE_ENDS.set(self._identity.ends)

    def now(self) -> Identity:
        """The newest whole one: files that are just being replaced, or spoilt, leave the one before in use."""
        with self._lock:
            if time.monotonic() - self._looked >= self._look_seconds:
                self._looked = time.monotonic()
                self._look()
            return self._identity

    def _look(self) -> None:
        try:
            found = Identity.read(self._files)
        except UnusableCertificate as error:
            _log.warning("the certificate before stays in use", error=error.message, remedy=error.remedy)
            return
        if found != self._identity:
            _log.info("certificate renewed", file=str(self._files.certificate))
            self._identity = found
            telemetry.CERTIFICATE_ENDS.set(found.ends)


def server_credentials(identity: CurrentIdentity) -> grpc.ServerCredentials:
    """For a port that takes nobody without a certificate of the authority, by TLS 1.3 only."""
    shown = identity.now()

    def newer() -> grpc.ServerCertificateConfiguration | None:
        nonlocal shown
        found = identity.now()
        if found == shown:
            return None  # as before
        shown = found
        return _configuration(found)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(shown),
        newer,  # type: ignore[arg-type]  # None says "as before" (grpc.dynamic_ssl_server_credentials)
        require_client_authentication=True,
    )


def channel_credentials(identity: Identity) -> grpc.ChannelCredentials:
    """For a channel to such a port."""
    return grpc.ssl_channel_credentials(identity.authority, identity.key, identity.certificate)


def _configuration(identity: Identity) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(identity.key, identity.certificate)], root_certificates=identity.authority + identity.workers
    )


def worker_uri(department: str) -> str:
    """The name of a department's worker in its certificate, as SPIFFE spells names (SPIFFE-ID, section 2)."""
    return f"spiffe://plaza.city/department/{department}/worker"


def department_of(shown: Mapping[str, Iterable[bytes]]) -> str | None:
    """The department whose worker a caller's certificate names; None for certificates of services.

    `shown`: `ServicerContext.auth_context()`.
    """
    for name in shown.get(_URIS, ()):
        if (found := _WORKER_URI.fullmatch(name.decode())) is not None:
            return found[1]
    return None
