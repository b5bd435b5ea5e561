"""Where departments' files lie: what any storage must do for us, and the two that can."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from datetime import UTC, datetime
from typing import Protocol
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import httpx
import structlog

from plaza_operator import faults, metrics
from plaza_operator.domain.errors import BucketTaken, StorageRefused, StorageUnavailable
from plaza_operator.external import lifecycle
from plaza_operator.external.sigv4 import signed

_SYSTEM = "s3"
_NOT_KNOWN = (400, 405, 501)
"""What a gateway answers to a request that it does not know."""
_log = structlog.get_logger("plaza_operator")
TIMEOUT_SECONDS = 5.0


class Buckets(Protocol):
    """Raises StorageUnavailable, StorageRefused, BucketTaken."""

    @property
    def makes_keys(self) -> bool:
        """Does this storage take keys that we choose?"""
        ...

    async def ensure(self, bucket: str, access: str, secret: str) -> list[str]:
        """The bucket is there and opens with this key and with no other tenant's; answers what had to be done."""
        ...

    async def remove(self, bucket: str, access: str) -> None:
        """Destroys the bucket with all that is in it, and the key."""
        ...


class Static:
    """Buckets and keys that an administrator brings: nothing is made, nothing destroyed."""

    makes_keys = False

    async def ensure(self, bucket: str, access: str, secret: str) -> list[str]:
        """Nothing to do."""
        return []

    async def remove(self, bucket: str, access: str) -> None:
        """Nothing to do."""


class Versitygw:
    """versitygw (v1.x) with its admin API; each department is a user who owns one bucket."""

    makes_keys = True

    def __init__(
        self, endpoint: str, admin_endpoint: str, region: str, access: str, secret: str, ca_file: str = ""
    ) -> None:
        """As the gateway's root user."""
        self._endpoint = endpoint.rstrip("/")
        self._admin = (admin_endpoint or endpoint).rstrip("/")
        self._region = region
        self._root = (access, secret)
        self._lifecycles = True
        """Whether the gateway knows lifecycle rules, as far as we know."""
        # No proxy of the environment: the storage is inside.
        self._http = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(
                verify=ca_file or True, limits=httpx.Limits(max_connections=4)
            ),
            timeout=TIMEOUT_SECONDS,
        )

    async def ensure(self, bucket: str, access: str, secret: str) -> list[str]:
        changes = []
        if not await self._opens(access, secret):
            changes.append(await self._ensure_user(access, secret))
        owner = await self._owner(bucket)
        if owner is None:
            # With its owner from the first moment: a bucket of the root user is the city's, never taken over.
            await self._ask("PATCH", f"{self._admin}/{bucket}/create", owner=access, accept=(200, 201, 409))
            owner = await self._owner(bucket)
            changes.append(f"bucket {bucket} made")
        if owner != access:
            raise BucketTaken(f"the bucket {bucket} belongs to {owner}; name another in spec.storage.bucket")
        policy = await self._ask("GET", f"{self._endpoint}/{bucket}", {"policy": ""}, accept=(200, 404))
        if policy.status_code == 200:
            # The owner alone has access; any policy could only open the bucket to somebody else.
            await self._ask("DELETE", f"{self._endpoint}/{bucket}", {"policy": ""}, accept=(200, 204))
            changes.append(f"policy of the bucket {bucket} taken away")
        changes += await self._ensure_lifecycle(bucket)
        metrics.WRITES.labels(_SYSTEM).inc(len(changes))
        return changes

    async def remove(self, bucket: str, access: str) -> None:
        if await self._owner(bucket) == access:
            while keys := await self._keys(bucket):
                await asyncio.gather(
                    *(
                        self._ask("DELETE", f"{self._endpoint}/{bucket}/{key}", accept=(200, 204, 404))
                        for key in keys
                    )
                )
            await self._ask("DELETE", f"{self._endpoint}/{bucket}", accept=(200, 204, 404))
        await self._ask("PATCH", f"{self._admin}/delete-user", {"access": access}, accept=(200, 204, 404))

    async def close(self) -> None:
        """Ends all connections."""
        await self._http.aclose()

    async def _ensure_lifecycle(self, bucket: str) -> list[str]:
        """Parts of uploads that nobody finished are taken away: they fill the storage, and no listing shows them."""
        if not self._lifecycles:
            return []
        place, query = f"{self._endpoint}/{bucket}", {"lifecycle": ""}
        live = await self._ask("GET", place, query, accept=(200, 404, *_NOT_KNOWN))
        if live.status_code == 200 and lifecycle.is_wanted(live.content):
            return []
        known = live.status_code == 404 or (live.status_code == 200 and lifecycle.is_one(live.content))
        if known:
            body = lifecycle.WANTED
            made = await self._ask("PUT", place, query, body=body, md5=True, accept=(200, 204, *_NOT_KNOWN))
            known = made.status_code not in _NOT_KNOWN
        if not known:
            self._lifecycles = False
            _log.warning(
                "the storage knows no lifecycle rules: parts of uploads that nobody finished stay until they are taken"
                " away by hand",
                endpoint=self._endpoint,
            )
            return []
        return [f"lifecycle rule of the bucket {bucket} set"]

    async def _ensure_user(self, access: str, secret: str) -> str:
        keys = f"<Access>{escape(access)}</Access><Secret>{escape(secret)}</Secret>"
        account = f"<Account>{keys}<Role>user</Role></Account>"
        made = await self._ask("PATCH", f"{self._admin}/create-user", body=account, accept=(200, 201, 409))
        if made.status_code != 409:
            return f"user {access} made"
        changed = f"<MutableProps><Secret>{escape(secret)}</Secret></MutableProps>"
        await self._ask("PATCH", f"{self._admin}/update-user", {"access": access}, body=changed)
        return f"key of {access} set"

    async def _opens(self, access: str, secret: str) -> bool:
        answer = await self._ask(
            "GET", f"{self._endpoint}/", key=(access, secret), accept=(200, 400, 403, 404)
        )
        return answer.status_code == 200

    async def _owner(self, bucket: str) -> str | None:
        answer = await self._ask("PATCH", f"{self._admin}/list-buckets")
        for one in _elements(answer.content, "Buckets") + _elements(answer.content, "Bucket"):
            found = {child.tag.rsplit("}", 1)[-1]: child.text or "" for child in one}
            if found.get("Name") == bucket:
                return found.get("Owner", "")
        return None

    async def _keys(self, bucket: str) -> list[str]:
        answer = await self._ask(
            "GET", f"{self._endpoint}/{bucket}", {"list-type": "2", "max-keys": "500"}, accept=(200, 404)
        )
        if answer.status_code == 404:
            return []
        found = _elements(answer.content, "Contents")
        return [key.text for one in found for key in one if key.tag.rsplit("}", 1)[-1] == "Key" and key.text]

    async def _ask(
        self,
        method: str,
        url: str,
        query: dict[str, str] | None = None,
        *,
        body: str = "",
        key: tuple[str, str] | None = None,
        owner: str = "",
        md5: bool = False,
        accept: tuple[int, ...] = (200, 201, 202, 204),
    ) -> httpx.Response:
        access, secret = key or self._root
        metrics.REQUESTS.labels(_SYSTEM, method.lower()).inc()
        content = body.encode()
        address, headers = signed(
            method,
            url,
            query or {},
            content,
            access=access,
            secret=secret,
            region=self._region,
            at=datetime.now(UTC),
        )
        if owner:
            headers["x-vgw-owner"] = owner
        if md5:  # S3 wants it here: RFC 1864, no protection against anybody
            headers["content-md5"] = base64.b64encode(
                hashlib.md5(content, usedforsecurity=False).digest()
            ).decode()
        try:
            answer = await self._http.request(method, address, content=content, headers=headers)
        except httpx.HTTPError as error:
            raise StorageUnavailable(f"the storage does not answer ({type(error).__name__})") from error
        faults.called()
        if answer.status_code in accept:
            return answer
        text = f"{method} {httpx.URL(address).path}: {answer.status_code} {answer.text[:200]}"
        raise StorageUnavailable(text) if answer.status_code >= 500 else StorageRefused(text)


def _elements(content: bytes, name: str) -> list[ElementTree.Element]:
    try:
        # From our own gateway, and ElementTree resolves no external entities.
        root = ElementTree.fromstring(content)  # noqa: S314
    except ElementTree.ParseError as error:
        raise StorageRefused("the storage answers no XML; is the admin endpoint right?") from error
    return [one for one in root.iter() if one.tag.rsplit("}", 1)[-1] == name]
