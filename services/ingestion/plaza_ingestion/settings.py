"""Settings of ingestion."""

from __future__ import annotations

from plaza_lake.service_settings import LakeServiceSettings
from pydantic import Field


class IngestionSettings(LakeServiceSettings):
    """What a service with a lake needs, and where files wait."""

    catalogue_address: str = Field(description="gRPC address of catalogue")
    quality_address: str = Field(description="gRPC address of quality, which is told of every version")
    staging: str = Field(
        description="folder for uploads and staged files; a department's part is `departments/{id}` in it"
    )
    lease_seconds: float = Field(
        default=15, gt=0, description="how long a worker may be silent before its work goes to another"
    )
    upload_limit_bytes: int = Field(default=20 * 1024**3, gt=0, description="largest file that is taken")
