"""Merkle trees of RFC 9162 §2.1: hashes, roots, inclusion and consistency proofs.

A stored tree is its *complete* subtrees: node (level, index) covers the leaves
[index · 2^level, (index + 1) · 2^level), is written once, and never changes. Everything else (roots, proofs)
is folded from O(log n) of them. The `nodes_for_…` functions say which, so that a store which is asked
asynchronously can fetch all of them in one query and answer from memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from plaza_kit.errors import DataLoss, InvalidArgument

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
"""Root of the tree without leaves (RFC 9162 §2.1.1)."""


class BadTreePosition(InvalidArgument):
    """An index or size that no such tree has."""


class InclusionRefused(DataLoss):
    """The path does not lead from this leaf to this root."""


class ConsistencyRefused(DataLoss):
    """The path does not show that the larger tree begins with the smaller one."""


@dataclass(frozen=True, slots=True, order=True)
class NodeId:
    """A complete subtree: 2^level leaves, the `index`-th of its level. Level 0 are the leaf hashes."""

    level: int
    index: int


class NodeReader(Protocol):
    """Where complete subtrees are stored."""

    def node(self, level: int, index: int) -> bytes:
        """Its 32-byte hash. May raise whatever the store raises when it is not there."""
        ...


class NodeMap:
    """A `NodeReader` over nodes fetched before. Raises `DataLoss` when one is missing."""

    __slots__ = ("_nodes",)

    def __init__(self, nodes: Mapping[NodeId, bytes]) -> None:
        self._nodes = nodes

    def node(self, level: int, index: int) -> bytes:
        try:
            return self._nodes[NodeId(level, index)]
        except KeyError:
            raise DataLoss(f"the tree has no stored node (level {level}, index {index})") from None


class Range(NamedTuple):
    """Leaves [start, end) whose subtree is one element of a proof."""

    start: int
    end: int


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(0x00 ‖ entry) (RFC 9162 §2.1.1)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right) (RFC 9162 §2.1.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


# What to read


def nodes_for_root(size: int) -> list[NodeId]:
    """The complete subtrees that make up a tree of `size` leaves, from left to right; also all that appending
    to it needs to read."""
    _check(size >= 0, f"tree size {size} is negative")
    return list(_complete_nodes(Range(0, size)))


def nodes_for_inclusion(index: int, size: int) -> list[NodeId]:
    """What `inclusion_proof` will read."""
    return [node for part in _inclusion_ranges(index, size) for node in _complete_nodes(part)]


def nodes_for_consistency(old_size: int, new_size: int) -> list[NodeId]:
    """What `consistency_proof` will read."""
    return [node for part in _consistency_ranges(old_size, new_size) for node in _complete_nodes(part)]


# Making


def root_hash(size: int, reader: NodeReader) -> bytes:
    """The root of the first `size` leaves (RFC 9162 §2.1.1)."""
    _check(size >= 0, f"tree size {size} is negative")
    return _range_hash(Range(0, size), reader) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, reader: NodeReader) -> tuple[bytes, ...]:
    """The path of leaf `index` in the tree of `size` leaves, from its sibling upwards (RFC 9162 §2.1.3.1).
    Raises `BadTreePosition` when there is no such leaf."""
    return tuple(_range_hash(part, reader) for part in _inclusion_ranges(index, size))


def consistency_proof(old_size: int, new_size: int, reader: NodeReader) -> tuple[bytes, ...]:
    """The proof that the tree of `new_size` leaves begins with that of `old_size` (RFC 9162 §2.1.4.1); empty
    for equal sizes. Raises `BadTreePosition` unless 0 < old ≤ new."""
    return tuple(_range_hash(part, reader) for part in _consistency_ranges(old_size, new_size))


def nodes_to_store(first_index: int, leaf_hashes: Sequence[bytes], reader: NodeReader) -> dict[NodeId, bytes]:
    """The complete interior nodes (level ≥ 1) that appear when `leaf_hashes` are appended at `first_index`,
    lower levels first. Reads no more than `nodes_for_root(first_index)`."""
    _check(first_index >= 0, f"leaf index {first_index} is negative")
    made: dict[NodeId, bytes] = {}
    level, start, hashes = 0, first_index, list(leaf_hashes)
    while hashes:
        if start % 2:
            start -= 1
            hashes.insert(0, reader.node(level, start))
        parents = [node_hash(hashes[i], hashes[i + 1]) for i in range(0, len(hashes) - 1, 2)]
        level, start, hashes = level + 1, start // 2, parents
        made.update((NodeId(level, start + i), parent) for i, parent in enumerate(parents))
    return made


def _range_hash(part: Range, reader: NodeReader) -> bytes:
    hashes = [reader.node(node.level, node.index) for node in _complete_nodes(part)]
    result = hashes.pop()
    while hashes:
        result = node_hash(hashes.pop(), result)
    return result


def _complete_nodes(part: Range) -> Iterator[NodeId]:
    """The subtrees of a range, largest first. Every range of a proof starts at a multiple of a power of two
    that is at least as large as its length, so that each step is aligned."""
    start = part.start
    while start < part.end:
        level = (part.end - start).bit_length() - 1
        yield NodeId(level, start >> level)
        start += 1 << level


def _split(part: Range) -> int:
    """Where a subtree divides: after the largest power of two smaller than its length (RFC 9162 §2.1.1)."""
    return part.start + (1 << ((part.end - part.start - 1).bit_length() - 1))


def _inclusion_ranges(index: int, size: int) -> list[Range]:
    _check(0 <= index < size, f"there is no leaf {index} in a tree of {size}")
    siblings: list[Range] = []
    part = Range(0, size)
    while part.end - part.start > 1:
        middle = _split(part)
        left, right = Range(part.start, middle), Range(middle, part.end)
        part, sibling = (left, right) if index < middle else (right, left)
        siblings.append(sibling)
    return siblings[::-1]


def _consistency_ranges(old_size: int, new_size: int) -> list[Range]:
    _check(
        0 < old_size <= new_size,
        f"no consistency proof from size {old_size} to size {new_size}: 0 < old ≤ new",
    )
    parts: list[Range] = []
    part = Range(0, new_size)
    while part.end != old_size:
        middle = _split(part)
        left, right = Range(part.start, middle), Range(middle, part.end)
        part, sibling = (left, right) if old_size <= middle else (right, left)
        parts.append(sibling)
    if part.start > 0:  # otherwise the subtree is the old tree itself, whose root the verifier has
        parts.append(part)
    return parts[::-1]


# Verifying


def verify_inclusion(index: int, size: int, leaf: bytes, path: Iterable[bytes], root: bytes) -> None:
    """That the leaf with hash `leaf` is number `index` of the tree with `size` leaves and this root
    (RFC 9162 §2.1.3.2). Raises `InclusionRefused`."""
    path = list(path)
    if not 0 <= index < size:
        raise InclusionRefused(f"leaf {index} lies outside a tree of {size}")
    _check_hashes([leaf, root, *path], InclusionRefused)
    node, last, computed = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise InclusionRefused(f"inclusion path of leaf {index} is too long for a tree of {size}")
        if node & 1 or node == last:
            computed = node_hash(sibling, computed)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise InclusionRefused(f"inclusion path of leaf {index} is too short for a tree of {size}")
    if computed != root:
        raise InclusionRefused(
            f"inclusion path of leaf {index} leads to another root than that of the tree of {size}"
        )


def verify_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, path: Iterable[bytes]
) -> None:
    """That the tree of `new_size` leaves begins with the tree of `old_size` (RFC 9162 §2.1.4.2). Raises
    `ConsistencyRefused`, also from an empty old tree, which would prove nothing."""
    path = list(path)
    if not 0 < old_size <= new_size:
        raise ConsistencyRefused(f"nothing shows that a tree of {new_size} continues a tree of {old_size}")
    if old_size == new_size:
        if path or old_root != new_root:
            raise ConsistencyRefused(
                f"two trees of {old_size} leaves are the same only with one root and no path"
            )
        return
    if not path:
        raise ConsistencyRefused(f"consistency path from {old_size} to {new_size} is empty")
    _check_hashes([old_root, new_root, *path], ConsistencyRefused)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)  # a power of two is a complete subtree: its hash is the old root itself
    node, last = old_size - 1, new_size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ConsistencyRefused(f"consistency path from {old_size} to {new_size} is too long")
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    if last or old != old_root or new != new_root:
        raise ConsistencyRefused(
            f"consistency path from {old_size} to {new_size} does not join the two roots"
        )


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise BadTreePosition(message)


def _check_hashes(hashes: Iterable[bytes], refused: type[DataLoss]) -> None:
    for value in hashes:
        if len(value) != HASH_BYTES:
            raise refused(f"a hash of {len(value)} bytes in a tree of {HASH_BYTES}-byte hashes")
