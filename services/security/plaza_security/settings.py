"""Settings of the security service."""

from __future__ import annotations

from pathlib import Path

from plaza_kit.settings import ServiceSettings
from pydantic import Field


class SecuritySettings(ServiceSettings):
    """What security needs beside what every service needs."""

    signing_key_file: Path = Field(description="private key that signs grants and the policy bundle")
    ledger_key_file: Path = Field(description="private key that signs checkpoints; its name is the origin")
    ledger_origin: str = Field(default="ledger.plaza.local", description="name of the ledger")
    ask_for_leavers: bool = Field(
        default=True,
        description="ask the issuer whose accounts were closed, by Keycloak's admin API; false: a leaver's token is "
        "good to its end",
    )
    denied_file: Path | None = Field(
        default=None, description="subjects without any right, one a line; read again when it changes"
    )
