"""What the gateway needs from the environment."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Literal

from plaza_kit.settings import IssuerSettings, TlsSettings
from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import SettingsConfigDict


class GatewaySettings(TlsSettings, IssuerSettings):
    """Read with `plaza_kit.settings.load`; names in the environment are `PLAZA_` and the field in capitals."""

    model_config = SettingsConfigDict(env_prefix="PLAZA_", extra="ignore", frozen=True)

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8080, ge=1, le=65535, description="HTTP port")
    faces: tuple[Literal["public", "internal"], ...] = Field(
        default=("public", "internal"), min_length=1, description='faces to serve, as JSON: `["public"]`'
    )
    catalogue_address: str = Field(description="gRPC address of catalogue")
    security_address: str = Field(description="gRPC address of security")
    open_data_address: str = Field(description="gRPC address of open-data")
    ingestion_address: str = Field(
        default="", validate_default=True, description="gRPC address of ingestion; for the internal face"
    )
    quality_address: str = Field(
        default="", validate_default=True, description="gRPC address of quality; for the internal face"
    )
    sharing_address: str = Field(
        default="", validate_default=True, description="gRPC address of sharing; for the internal face"
    )
    city: str = Field(default="", description="Chinese name of the city, on the portal's pages")
    city_en: str = Field(default="", description="English name of the city")
    portal_owner: str = Field(default="", description="Chinese name of who runs the portal, in its footer")
    portal_owner_en: str = Field(default="", description="English name of who runs the portal")
    public_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^/?#\s]+$",
        description="address under which everybody reaches the portal, without a final slash; "
        "without it that of the request",
    )
    console_key_file: Path | None = Field(
        default=None,
        description="file with the 32 bytes, in base64, that seal the console's sessions; the same for all "
        "replicas; without it the internal face has no console",
    )
    console_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^/?#\s]+$",
        description="address under which departments reach the console, without a final slash; "
        "without it that of the request",
    )
    trusted_proxies: tuple[str, ...] = Field(
        default=(),
        description="addresses or networks of the proxies in front, as JSON: only theirs is the word on who asks "
        "(X-Forwarded-For, X-Forwarded-Proto); without them everybody behind a proxy shares one quota",
    )
    rate_limits: bool = Field(default=True, description="whether clients have quotas; false for measurements")
    anonymous_per_minute: int = Field(
        default=1200, ge=1, description="API requests of an address without a token that holds"
    )
    signed_in_per_minute: int = Field(default=6000, ge=1, description="API requests of a person or machine")
    uploads_per_minute: int = Field(default=600, ge=1, description="files that a client sends")
    open_rows_per_day: int = Field(
        default=20_000, ge=1, description="files and rows that an address reads without a token that holds"
    )
    pages_per_minute: int = Field(default=6000, ge=1, description="pages of portal and console of an address")
    upload_limit_bytes: int = Field(
        default=20 * 1024**3, ge=1024, description="bytes of the largest file that is taken"
    )
    head_limit_bytes: int = Field(
        default=32 * 1024, ge=4096, le=256 * 1024, description="bytes of a request's address and headers"
    )
    head_seconds: float = Field(default=15, gt=0, description="until the headers of a request are there")
    body_idle_seconds: float = Field(
        default=60, gt=0, description="that a request's body may stand still before it is given up"
    )
    body_seconds: float = Field(default=60, gt=0, description="until a body that is no file is there")
    call_seconds: float = Field(default=30, gt=0, description="until a service must have answered")
    stream_seconds: float = Field(
        default=3600, gt=0, description="that an upload, download or watch may last"
    )
    drain_notice_seconds: float = Field(
        default=0,
        ge=0,
        description="after SIGTERM: that requests are still taken while /readyz says 503, so that those in front "
        "hear of it",
    )
    drain_seconds: float = Field(
        default=10, ge=0, description="after that: until requests and streams under way are cut off"
    )
    metrics_address: str = Field(
        default="", description="`host:port` for Prometheus; empty: `/metrics` beside everything else"
    )
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR")
    otlp_endpoint: str = Field(default="", description="OTLP gRPC collector; empty: no traces are sent")

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for each in proxies:
            try:
                ip_network(each)
            except ValueError:
                raise PydanticCustomError("network", "is no address or network: {it}", {"it": each}) from None
        return proxies

    @field_validator("ingestion_address", "quality_address", "sharing_address")
    @classmethod
    def _needed_by_the_internal_face(cls, address: str, info: ValidationInfo) -> str:
        if not address and "internal" in info.data.get("faces", ()):
            raise PydanticCustomError("missing", "is needed by the internal face")
        return address
