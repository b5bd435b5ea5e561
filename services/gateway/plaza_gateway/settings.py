"""What the gateway needs from the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict


class GatewaySettings(BaseSettings):
    """Read with `plaza_kit.settings.load`; names in the environment are `PLAZA_` and the field in capitals."""

    model_config = SettingsConfigDict(env_prefix="PLAZA_", extra="ignore", frozen=True)

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8080, ge=1, le=65535, description="HTTP port")
    faces: tuple[Literal["public", "internal"], ...] = Field(
        default=("public", "internal"), min_length=1, description='faces to serve, as JSON: `["public"]`'
    )
    issuer: str = Field(description="OIDC issuer that people and machines log in at")
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
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR")
    otlp_endpoint: str = Field(default="", description="OTLP gRPC collector; empty: no traces are sent")

    @field_validator("ingestion_address", "quality_address", "sharing_address")
    @classmethod
    def _needed_by_the_internal_face(cls, address: str, info: ValidationInfo) -> str:
        if not address and "internal" in info.data.get("faces", ()):
            raise PydanticCustomError("missing", "is needed by the internal face")
        return address
