"""Uploads that nobody needs any more are removed by rule; their rows stay, and say so.

Decided in one transaction with its event, then the file is removed, then that is noted: what is cut off is carried
through by the next look. Whoever starts a run holds the upload's row meanwhile, so none is removed under a run.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

from plaza_kit import telemetry
from plaza_kit.db import Scope
from plaza_kit.db.outbox import NewEvent

from plaza_ingestion.domain.events import UPLOAD_EXPIRED
from plaza_ingestion.storage import uploads
from plaza_ingestion.storage.uploads import Upload
from plaza_ingestion.usecases.ports import World

_log = telemetry.log("uploads")

_LOOK_SECONDS: Final = 3600.0
_AT_ONCE: Final = 500


class UploadRetention:
    """An upload expires so long after its last run ended, or after it came when it never had one. It stays while a
    run needs it, and while quarantine holds a record of it that was too long to be kept whole."""

    def __init__(self, world: World, keep: timedelta, principal: str) -> None:
        """`principal`: the service itself, in whose name uploads expire."""
        self._world = world
        self._keep = keep
        self._principal = principal

    async def watch(self) -> None:
        """For ever."""
        while True:
            try:
                await self.look()
            except Exception as error:  # whatever it is, the next look may succeed
                _log.warning("cannot remove old uploads", error=repr(error)[:300])
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> int:
        """Removes what has expired; answers how many files went."""
        after: str | None = ""
        while after is not None:
            after = await self._expire(after)
        gone = 0
        while some := await self._remove():
            gone += some
        return gone

    async def _expire(self, after: str) -> str | None:
        """Of some uploads behind that one; answers the last of them, None when there are no more."""
        now = self._world.now()
        async with self._world.database.transaction(Scope.everything()) as connection:
            expired, last = await uploads.expire(connection, now, now - self._keep, after, _AT_ONCE)
            for upload in expired:
                await self._world.outbox.write(connection, self._event(upload))
        if expired:
            self._world.outbox.wake()
        return last or None

    def _event(self, upload: Upload) -> NewEvent:
        data: dict[str, object] = {
            "department": f"departments/{upload.department}",
            "upload": upload.name,
            "sha256": upload.sha256,
            "size_bytes": upload.size_bytes,
            "rule": f"{self._keep.days} days after its last run",
        }
        return NewEvent(UPLOAD_EXPIRED, upload.name, data, self._principal)

    async def _remove(self) -> int:
        async with self._world.database.transaction(Scope.everything()) as connection:
            some = await uploads.expiring(connection, _AT_ONCE)
            gone = []
            for upload in some:
                try:
                    await asyncio.to_thread(self._world.staging.remove_upload, upload.department, upload.path)
                except OSError as error:
                    _log.warning("cannot remove an upload", upload=upload.name, error=repr(error)[:300])
                else:
                    gone.append(upload.upload)
            await uploads.removed(connection, gone, self._world.now())
        if gone:
            _log.info("uploads removed", uploads=len(gone))
        return len(gone)
