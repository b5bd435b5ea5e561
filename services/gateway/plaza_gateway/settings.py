"""What the gateway needs from the environment."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class GatewaySettings(BaseSettings):
    """Read with `plaza_kit.settings.load`; names in the environment are `PLAZA_` and the field in capitals."""

    model_config = SettingsConfigDict(env_prefix="PLAZA_", extra="ignore", frozen=True)

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8080, ge=1, le=65535, description="HTTP port")
    faces: tuple[Literal["public", "internal"], ...] = Field(
        default=("public", "internal"), description='faces to serve, as JSON: `["public"]`'
    )
    issuer: str = Field(description="OIDC issuer that people and machines log in at")
    catalogue_address: str = Field(description="gRPC address of catalogue")
    security_address: str = Field(description="gRPC address of security")
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR")
    otlp_endpoint: str = Field(default="", description="OTLP gRPC collector; empty: no traces are sent")
