"""Settings of ingestion."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

from plaza_lake.maintenance import Upkeep
from plaza_lake.retention import Retention
from plaza_lake.service_settings import LakeServiceSettings
from pydantic import Field


class IngestionSettings(LakeServiceSettings):
    """What a service with a lake needs, and where files wait."""

    catalogue_address: str = Field(description="gRPC address of catalogue")
    quality_address: str = Field(description="gRPC address of quality, which is told of every version")
    staging: str = Field(
        description="folder or `s3://` address for uploads and staged files; a department's part is"
        " `departments/{id}` in it, on S3 also where `{department}` stands in the address"
    )
    lease_seconds: float = Field(
        default=15, gt=0, description="how long a worker may be silent before its work goes to another"
    )
    upload_limit_bytes: int = Field(default=20 * 1024**3, gt=0, description="largest file that is taken")
    keep_newest_versions: int = Field(default=20, ge=1, description="of a dataset; they never expire")
    keep_hours: int = Field(default=24, ge=1, description="no version younger than this expires")
    keep_daily_days: int = Field(
        default=400, ge=0, description="for how many days the last version of each day is kept; 0: for ever"
    )
    keep_delivered_days: int = Field(
        default=180,
        ge=1,
        description="how long a version is kept after it was delivered to another department",
    )
    file_grace_hours: int = Field(
        default=24, ge=1, description="how long a file stays after nothing needs it; longer than any reading"
    )
    keep_uploads_days: int = Field(
        default=30, ge=1, description="how long an uploaded or pulled file stays after its last run ended"
    )
    time_zone: str = Field(default="Asia/Shanghai", description="in which a day ends")

    def upkeep(self) -> Upkeep:
        """How tables are maintained."""
        retention = Retention(
            newest=self.keep_newest_versions,
            young=timedelta(hours=self.keep_hours),
            daily=timedelta(days=self.keep_daily_days) if self.keep_daily_days else None,
            zone=ZoneInfo(self.time_zone),
        )
        return Upkeep(retention, grace=timedelta(hours=self.file_grace_hours))

    @property
    def uploads_for(self) -> timedelta:
        """How long an upload stays after its last run."""
        return timedelta(days=self.keep_uploads_days)

    @property
    def delivered_for(self) -> timedelta:
        """How long a delivery pins its version."""
        return timedelta(days=self.keep_delivered_days)
