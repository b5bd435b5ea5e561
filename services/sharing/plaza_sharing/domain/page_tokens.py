"""Page tokens of rows: sealed, because a position is made of values of a row, which may be personal data.

A token is encrypted and bound to its query (AES-256-GCM, the query as associated data): it says nothing to
whoever finds it in a log, and it opens for its own query only.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from dataclasses import dataclass
from typing import Final

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from plaza_kit.paging import BadPageToken
from plaza_lake.ir import Scalar
from plaza_lake.scalar_texts import read, written

from plaza_sharing.domain.deliveries import DeliveryId
from plaza_sharing.domain.names import exact_uuid
from plaza_sharing.domain.queries import PagingImpossible, Query

MAX_TOKEN: Final = 4096
"""Characters, as the request's contract allows."""
_NONCE: Final = 12

Position = tuple[Scalar | None, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a page begins."""

    version: int
    before: int
    """Rows of the query on the pages before."""
    position: Position
    """The last row of the page before: its values of the columns of the query's order."""
    delivery: DeliveryId | None
    """None: a department's own data."""
    assessment: int = 0
    """Number of the assessment whose verdicts the query asks for; another one might give other pages."""


def binding(query: Query, reader: str) -> bytes:
    """What a token is bound to, besides the version and the assessment inside it."""
    return orjson.dumps(
        [str(query.dataset), [*query.asked, *query.told], query.filter_text, query.order, reader],
        option=orjson.OPT_SORT_KEYS,
    )


def seal(mark: Mark, key: bytes, bound: bytes) -> str:
    """The token. `key`: 32 bytes. Raises PagingImpossible where the row's values are too long for one."""
    inside = orjson.dumps(
        [
            mark.version,
            mark.before,
            str(mark.delivery) if mark.delivery is not None else "",
            [written(value) for value in mark.position],
            mark.assessment,
        ]
    )
    nonce = secrets.token_bytes(_NONCE)
    sealed = nonce + AESGCM(key).encrypt(nonce, inside, bound)
    token = base64.urlsafe_b64encode(sealed).decode().rstrip("=")
    if len(token) > MAX_TOKEN:
        raise PagingImpossible(
            "there is a next page, but the values that say where it begins are too long for a page token",
            remedy="ask for format CSV, JSONL, PARQUET or ARROW, or sort by shorter fields",
        )
    return token


def unseal(token: str, key: bytes, bound: bytes) -> Mark:
    """Raises BadPageToken for a token that was changed or was given out for another query."""
    try:
        sealed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        inside = AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], bound)
    except (ValueError, binascii.Error, InvalidTag):
        raise bad_token() from None
    version, before, delivery, position, *judged = orjson.loads(inside)
    found = exact_uuid(delivery)
    return Mark(
        version,
        before,
        tuple(read(value) for value in position),
        None if found is None else DeliveryId(found),
        judged[0] if judged else 0,
    )


def bad_token() -> BadPageToken:
    return BadPageToken(
        "page_token: was changed, or was given out for another query",
        remedy="take nextPageToken from the page before, and leave dataset, version, columns, filter, order_by"
        " and reader as they were",
        facts={"field": "page_token"},
    )
