"""Settings by environment: one typed class per service, every missing value reported at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from plaza_kit.rpc.tls import CurrentIdentity, TlsFiles


class BadSettings(Exception):
    """The environment does not say what a process needs. The message lists every value and all its names."""


class TlsSettings(BaseSettings):
    """Mutual TLS with other pods: all three files, or none (Unix sockets on one machine)."""

    # Of several bases the last one's counts, so that each says it.
    model_config = SettingsConfigDict(env_prefix="PLAZA_", extra="ignore", frozen=True)

    tls_cert_file: Path | None = Field(default=None, description="PEM certificate shown to other services")
    tls_key_file: Path | None = Field(default=None, description="PEM key of the certificate, not encrypted")
    tls_ca_file: Path | None = Field(
        default=None, description="PEM certificates of the authority that all services trust"
    )
    tls_workers_ca_file: Path | None = Field(
        default=None,
        description="PEM certificates of the authority of departments' workers, which may call and serve nobody",
    )

    @model_validator(mode="after")
    def _all_or_none(self) -> Self:
        given = (self.tls_cert_file, self.tls_key_file, self.tls_ca_file)
        if any(given) and not all(given):
            raise PydanticCustomError(
                "tls_incomplete",
                "PLAZA_TLS_CERT_FILE, PLAZA_TLS_KEY_FILE and PLAZA_TLS_CA_FILE belong together",
            )
        return self

    def tls(self) -> CurrentIdentity | None:
        """What to show and whom to trust; None for plain connections. Raises UnusableCertificate."""
        if not (self.tls_cert_file and self.tls_key_file and self.tls_ca_file):
            return None
        files = TlsFiles(self.tls_cert_file, self.tls_key_file, self.tls_ca_file, self.tls_workers_ca_file)
        return CurrentIdentity(files)


class IssuerSettings(BaseSettings):
    """Who says who somebody is, and the way there."""

    model_config = SettingsConfigDict(env_prefix="PLAZA_", extra="ignore", frozen=True)

    issuer: str = Field(description="OIDC issuer, for example `https://id.city.example/realms/plaza`")
    issuer_connect: str = Field(
        default="",
        description="`host:port` to connect to in place of the issuer's own, where its name leads elsewhere; "
        "empty: as the name says",
    )


class MigrationSettings(BaseSettings):
    """What `python -m <service> migrate` needs: no more than the schema's owner."""

    model_config = SettingsConfigDict(env_prefix="PLAZA_", extra="ignore", frozen=True)

    database_url: str = Field(
        repr=False, description="PostgreSQL of this service: `postgresql://role:password@host/db`"
    )
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR")


class ServiceSettings(TlsSettings, IssuerSettings):
    """What every service needs. Names in the environment are the field names in capitals behind `PLAZA_`."""

    model_config = SettingsConfigDict(env_prefix="PLAZA_", extra="ignore", frozen=True)

    listen: str = Field(description="gRPC address: `unix:/path/to.sock` or `host:port`")
    database_url: str = Field(description="PostgreSQL of this service: `postgresql://role:password@host/db`")
    audience: str = Field(default="plaza", description="audience that access tokens must carry")
    client_id: str = Field(description="the service's own OIDC client")
    client_secret: str = Field(repr=False, description="its secret")
    trust_file: Path = Field(description="security's public keys, pinned (JSON)")
    security_address: str = Field(description="gRPC address of security")
    job_takeover_seconds: float = Field(
        default=8.0, ge=1, description="a process silent for so long is dead; its jobs are taken over"
    )
    migrate: Literal["start", "job"] = Field(
        default="start",
        description="who brings the schema to its version: this process at its start, or a job "
        "(`python -m <service> migrate`) for which it waits",
    )
    health_listen: str = Field(
        default="",
        description="`host:port` of a second gRPC server that answers health alone, without TLS, from the first "
        "moment (service `live`: the process runs; no name: it serves); empty: none",
    )
    metrics_address: str = Field(default="", description="`host:port` for Prometheus; empty: not served")
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR")
    otlp_endpoint: str = Field(default="", description="OTLP gRPC collector; empty: no traces are sent")


S = TypeVar("S", bound=BaseSettings)


def load(settings_class: type[S]) -> S:
    """Read settings from the environment. Raises BadSettings naming every bad value and its names."""
    try:
        return settings_class()
    except ValidationError as error:
        lines = [_explain(settings_class, dict(problem)) for problem in error.errors()]
        raise BadSettings(
            f"{len(lines)} setting(s) are missing or wrong:\n" + "\n".join(f"  - {line}" for line in lines)
        ) from None


def _explain(settings_class: type[BaseSettings], problem: dict[str, Any]) -> str:
    if not problem["loc"]:  # of several fields together
        return str(problem["msg"])
    name, known = _field(settings_class, str(problem["loc"][0]))
    prefix = str(settings_class.model_config.get("env_prefix", ""))
    variables = " or ".join(_aliases(known) or (f"{prefix}{name}".upper(),))
    purpose = f" ({known.description})" if known.description else ""
    if problem["type"] == "missing":
        return f"set {variables}{purpose}"
    return f"{variables}: {problem['msg']}{purpose}"


def _field(settings_class: type[BaseSettings], reported: str) -> tuple[str, FieldInfo]:
    """The field behind a reported name: a field with aliases is reported under its first one."""
    fields = settings_class.model_fields
    name = reported if reported in fields else next(n for n, f in fields.items() if reported in _aliases(f))
    return name, fields[name]


def _aliases(field: FieldInfo) -> tuple[str, ...]:
    alias = field.validation_alias
    if alias is None:
        return ()
    return tuple(str(choice) for choice in getattr(alias, "choices", [alias]))
