"""Settings of the quality service."""

from __future__ import annotations

from plaza_lake.service_settings import LakeServiceSettings
from pydantic import Field


class QualitySettings(LakeServiceSettings):
    """What every service needs, the lake, and where the contracts are."""

    catalogue_address: str = Field(description="gRPC address of the catalogue")
    ingestion_address: str = Field(
        description="gRPC address of ingestion, which answers senders with what was found"
    )
    time_zone: str = Field(
        default="Asia/Shanghai", description="IANA time zone in which the city's days begin"
    )
    profile_rows: int = Field(
        default=1_000_000,
        ge=0,
        description="Versions of at most so many rows are profiled without being asked; 0: none",
    )
