"""What the issuer needs from the environment."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class IssuerSettings(BaseSettings):
    """Read with `plaza_kit.settings.load`. Client secrets are read by `realm.load_realm`, not here."""

    model_config = SettingsConfigDict(env_prefix="PLAZA_", extra="ignore", frozen=True)

    home: Path = Field(
        description="data of the one-machine mode; keys and sessions lie in `issuer/` below it"
    )
    issuer_port: int = Field(default=8081, ge=1, le=65535, description="port of the issuer")
    issuer_host: str = Field(default="127.0.0.1", description="a loopback address; nothing else is accepted")

    @property
    def directory(self) -> Path:
        """Where the signing key and the sessions are kept."""
        return self.home / "issuer"
