"""What the worker process needs from the environment."""

from __future__ import annotations

from pathlib import Path

from plaza_kit.objects.settings import S3Settings
from plaza_kit.settings import IssuerSettings, TlsSettings
from pydantic import Field
from pydantic_settings import SettingsConfigDict


class WorkerSettings(S3Settings, TlsSettings, IssuerSettings):
    """Read with `plaza_kit.settings.load`; names in the environment are `PLAZA_` and the field in capitals."""

    model_config = SettingsConfigDict(env_prefix="PLAZA_", extra="ignore", frozen=True)

    ingestion_address: str = Field(description="gRPC address of ingestion")
    client_id: str = Field(description="the department's own OIDC client, for example `ecology-worker`")
    client_secret: str = Field(repr=False, description="its secret")
    department: str = Field(
        pattern="^[a-z][a-z0-9-]{0,62}$", description="id of the department, for example `ecology`"
    )
    staging_prefix: str = Field(
        description="the department's own folder or `s3://bucket[/prefix]`; uploads are read from it, staged files"
        " written to it"
    )
    secrets_dir: Path | None = Field(
        default=None,
        description="the worker's own folder of source credentials, one file a name; no service of the city reads it",
    )
    idle_seconds: float = Field(
        default=0, ge=0, description="end after so long without work; 0: wait for work for ever"
    )
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR")
    otlp_endpoint: str = Field(default="", description="OTLP gRPC collector; empty: no traces are sent")
