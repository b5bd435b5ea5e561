"""Settings by environment: one typed class per service, every missing value reported at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict


class BadSettings(Exception):
    """The environment does not say what a process needs. The message lists every value and all its names."""


class ServiceSettings(BaseSettings):
    """What every service needs. Names in the environment are the field names in capitals behind `PLAZA_`."""

    model_config = SettingsConfigDict(env_prefix="PLAZA_", extra="ignore", frozen=True)

    listen: str = Field(description="gRPC address: `unix:/path/to.sock` or `host:port`")
    database_url: str = Field(description="PostgreSQL of this service: `postgresql://role:password@host/db`")
    issuer: str = Field(description="OIDC issuer, for example `https://id.city.example/realms/plaza`")
    audience: str = Field(default="plaza", description="audience that access tokens must carry")
    client_id: str = Field(description="the service's own OIDC client")
    client_secret: str = Field(repr=False, description="its secret")
    trust_file: Path = Field(description="security's public keys, pinned (JSON)")
    security_address: str = Field(description="gRPC address of security")
    job_takeover_seconds: float = Field(
        default=8.0, ge=1, description="a process silent for so long is dead; its jobs are taken over"
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
