"""Settings of sharing."""

from __future__ import annotations

from plaza_lake.service_settings import LakeServiceSettings
from pydantic import Field


class SharingSettings(LakeServiceSettings):
    """What every service needs, the lake, and where datasets are looked up."""

    catalogue_address: str = Field(description="gRPC address of the catalogue")
    quality_address: str = Field(description="gRPC address of quality, which knows what a gate lets through")
    ingestion_address: str = Field(description="gRPC address of ingestion, which keeps delivered versions")
