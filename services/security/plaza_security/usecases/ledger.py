"""Appending to the ledger, and proving what is in it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from plaza_kit.db import Database
from plaza_kit.db.engine import Scope
from plaza_kit.errors import InvalidArgument, NotFound
from plaza_kit.policy import Resource
from plaza_kit.signing import BadKey, SigningKey
from plaza_kit.tlog import merkle
from plaza_kit.tlog.checkpoint import Checkpoint, sign_checkpoint
from sqlalchemy.ext.asyncio import AsyncConnection

from plaza_security.domain.leaf import NewLeaf
from plaza_security.storage import ledger as store
from plaza_security.usecases.authority import Authority

DEFAULT_PAGE = 100


class NotInLedger(NotFound):
    """The event has not arrived yet, or there is none."""


class BadPageToken(InvalidArgument):
    """Not a token that a page before gave."""


@dataclass(frozen=True, slots=True)
class Inclusion:
    """A path from a leaf to a signed head."""

    entry: store.Entry
    tree_size: int
    path: tuple[bytes, ...]
    note: str


class Ledger:
    """One log: its tree in the database, its key in memory."""

    def __init__(self, database: Database, key: SigningKey, origin: str, authority: Authority) -> None:
        """Raises BadKey when the key has another name than the log."""
        if key.name != origin:
            raise BadKey(
                f"the ledger {origin!r} cannot be signed by the key {key.name!r}",
                remedy="Set PLAZA_LEDGER_ORIGIN and PLAZA_LEDGER_KEY_FILE so that the names agree.",
            )
        self._database = database
        self._key = key
        self._authority = authority

    async def append(self, connection: AsyncConnection, leaf: NewLeaf) -> None:
        """Put a leaf at the end of the tree, with the new signed head, in the transaction at hand."""
        await store.lock_for_append(connection)
        size = await store.tree_size(connection)
        frontier = await store.nodes(connection, merkle.nodes_for_root(size))
        made = merkle.nodes_to_store(size, [leaf.hash], frontier)
        await store.add_leaf(connection, size, leaf)
        await store.add_nodes(connection, made)
        head = await store.nodes(connection, merkle.nodes_for_root(size + 1))
        note = self._sign(size + 1, merkle.root_hash(size + 1, head))
        await store.add_checkpoint(connection, size + 1, note)

    async def checkpoint(self) -> tuple[int, str]:
        """Size and note of the newest signed head."""
        async with self._database.transaction(Scope.everything()) as connection:
            return await self._head(connection)

    def keys(self) -> tuple[str, ...]:
        """Verifier keys (C2SP) that checkpoints are signed with."""
        return (self._key.verifying_key.vkey,)

    async def entries(self, page_size: int, token: str, subject: str) -> tuple[list[store.Entry], str]:
        """A page of entries and the token of the next. Raises NotPermitted, BadPageToken."""
        self._authority.authorize("ledger.read", Resource.system())
        start, size = _start(token), page_size or DEFAULT_PAGE
        async with self._database.transaction(Scope.everything()) as connection:
            found = await store.entries(connection, start, size + 1, subject)
        return found[:size], str(found[size].index) if len(found) > size else ""

    async def inclusion(self, event_id: UUID) -> Inclusion:
        """The proof for an event under the newest head. Raises NotPermitted, NotInLedger."""
        self._authority.authorize("ledger.prove", Resource.system())
        async with self._database.transaction(Scope.everything()) as connection:
            entry = await store.entry_of_event(connection, event_id)
            if entry is None:
                raise NotInLedger(
                    f"event {event_id} is not in the ledger", remedy="it may be on its way: ask again soon"
                )
            size, note = await self._head(connection)
            nodes = await store.nodes(connection, merkle.nodes_for_inclusion(entry.index, size))
            return Inclusion(entry, size, merkle.inclusion_proof(entry.index, size, nodes), note)

    async def consistency(self, first: int, second: int) -> tuple[int, tuple[bytes, ...]]:
        """The later size (`second`, or the newest for 0) and the path from `first`. Raises BadTreePosition."""
        async with self._database.transaction(Scope.everything()) as connection:
            newest, _ = await self._head(connection)
            later = second or newest
            if later > newest:
                raise merkle.BadTreePosition(
                    f"second_size: the ledger has {newest} entries, not {later}", remedy="leave it 0"
                )
            nodes = await store.nodes(connection, merkle.nodes_for_consistency(first, later))
            return later, merkle.consistency_proof(first, later, nodes)

    async def _head(self, connection: AsyncConnection) -> tuple[int, str]:
        return await store.newest_checkpoint(connection) or (0, self._sign(0, merkle.EMPTY_ROOT))

    def _sign(self, size: int, root: bytes) -> str:
        return sign_checkpoint(Checkpoint(self._key.name, size, root), self._key)


def _start(token: str) -> int:
    if not token:
        return 0
    if not (token.isascii() and token.isdigit() and len(token) <= 18):
        raise BadPageToken(f"page_token: {token[:40]!r} is none", remedy="use next_page_token unchanged")
    return int(token)
