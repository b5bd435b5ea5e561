"""Settings of the open-data service."""

from __future__ import annotations

from plaza_lake.service_settings import LakeServiceSettings
from pydantic import Field


class OpenDataSettings(LakeServiceSettings):
    """What every service needs, the lake, three peers, and where the files of releases are kept."""

    catalogue_address: str = Field(description="gRPC address of the catalogue")
    ingestion_address: str = Field(description="gRPC address of ingestion, which keeps released versions")
    quality_address: str = Field(description="gRPC address of quality")
    release_store: str = Field(
        description="folder or `s3://bucket[/prefix]` of the files of releases, shared by all processes of this service"
    )
