"""Merkle trees: against the published vectors and against a tree written as the standard's text reads."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza_kit.errors import DataLoss
from plaza_kit.tlog.merkle import (
    EMPTY_ROOT,
    BadTreePosition,
    ConsistencyRefused,
    InclusionRefused,
    NodeId,
    NodeMap,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    nodes_for_consistency,
    nodes_for_inclusion,
    nodes_for_root,
    nodes_to_store,
    root_hash,
    verify_consistency,
    verify_inclusion,
)

VECTORS = Path(__file__).parents[3].parent / "shared" / "vectors" / "merkle"

# The standard's own recursion (RFC 9162 §2.1.1, §2.1.3.1, §2.1.4.1), kept apart from the code under test.

Leaves = tuple[bytes, ...]


def split(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


@cache
def mth(d: Leaves) -> bytes:
    if not d:
        return hashlib.sha256().digest()
    if len(d) == 1:
        return hashlib.sha256(b"\0" + d[0]).digest()
    k = split(len(d))
    return hashlib.sha256(b"\1" + mth(d[:k]) + mth(d[k:])).digest()


def path(m: int, d: Leaves) -> list[bytes]:
    if len(d) == 1:
        return []
    k = split(len(d))
    return [*path(m, d[:k]), mth(d[k:])] if m < k else [*path(m - k, d[k:]), mth(d[:k])]


def subproof(m: int, d: Leaves, complete: bool) -> list[bytes]:
    if m == len(d):
        return [] if complete else [mth(d)]
    k = split(len(d))
    if m <= k:
        return [*subproof(m, d[:k], complete), mth(d[k:])]
    return [*subproof(m - k, d[k:], False), mth(d[:k])]


def entries(n: int) -> Leaves:
    return tuple(f"entry {i}".encode() for i in range(n))


def stored(n: int) -> dict[NodeId, bytes]:
    """A tree grown one leaf at a time."""
    nodes: dict[NodeId, bytes] = {}
    for i, entry in enumerate(entries(n)):
        nodes[NodeId(0, i)] = leaf_hash(entry)
        nodes |= nodes_to_store(i, [leaf_hash(entry)], NodeMap(nodes))
    return nodes


SIZE = 260
NODES = stored(SIZE)
ENTRIES = entries(SIZE)


class Recorder(NodeMap):
    """Remembers what was read."""

    def __init__(self) -> None:
        super().__init__(NODES)
        self.read: list[NodeId] = []

    def node(self, level: int, index: int) -> bytes:
        self.read.append(NodeId(level, index))
        return super().node(level, index)


sizes = st.integers(1, SIZE)


@st.composite
def positions(draw: st.DrawFn) -> tuple[int, int]:
    size = draw(sizes)
    return draw(st.integers(0, size - 1)), size


@st.composite
def size_pairs(draw: st.DrawFn) -> tuple[int, int]:
    new = draw(sizes)
    return draw(st.integers(1, new)), new


class TestAgainstTheStandard:
    def test_empty_tree(self) -> None:
        assert root_hash(0, NodeMap({})) == EMPTY_ROOT == mth(())

    def test_published_leaf_and_root(self) -> None:
        # RFC 6962's reference trees: the leaf of an empty entry.
        assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        pair = node_hash(leaf_hash(b""), leaf_hash(b"\0"))
        assert pair.hex() == "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"

    def test_roots_of_all_sizes(self) -> None:
        for size in range(SIZE + 1):
            assert root_hash(size, NodeMap(NODES)) == mth(ENTRIES[:size])

    @given(positions())
    def test_inclusion(self, position: tuple[int, int]) -> None:
        index, size = position
        proof = inclusion_proof(index, size, NodeMap(NODES))
        assert list(proof) == path(index, ENTRIES[:size])
        verify_inclusion(index, size, leaf_hash(ENTRIES[index]), proof, mth(ENTRIES[:size]))

    @given(size_pairs())
    def test_consistency(self, pair: tuple[int, int]) -> None:
        old, new = pair
        proof = consistency_proof(old, new, NodeMap(NODES))
        assert list(proof) == subproof(old, ENTRIES[:new], True)
        verify_consistency(old, new, mth(ENTRIES[:old]), mth(ENTRIES[:new]), proof)

    def test_all_small_trees(self) -> None:
        reader = NodeMap(NODES)
        for size in range(1, 20):
            tree = ENTRIES[:size]
            for index in range(size):
                assert list(inclusion_proof(index, size, reader)) == path(index, tree)
            for old in range(1, size + 1):
                assert list(consistency_proof(old, size, reader)) == subproof(old, tree, True)


class TestStorage:
    @given(st.integers(0, SIZE), st.integers(0, 40))
    def test_appending_many_is_appending_one_by_one(self, first: int, count: int) -> None:
        count = min(count, SIZE - first)
        hashes = [leaf_hash(entry) for entry in ENTRIES[first : first + count]]
        recorder = Recorder()
        made = nodes_to_store(first, hashes, recorder)
        before, after = stored_ids(first), stored_ids(first + count)
        assert set(made) == {node for node in after - before if node.level > 0}
        assert all(NODES[node] == value for node, value in made.items())
        assert [node.level for node in made] == sorted(node.level for node in made)
        assert set(recorder.read) <= set(nodes_for_root(first))

    @given(positions())
    def test_inclusion_reads_what_it_said_and_little(self, position: tuple[int, int]) -> None:
        recorder = Recorder()
        inclusion_proof(*position, recorder)
        assert sorted(recorder.read) == sorted(nodes_for_inclusion(*position))
        assert len(recorder.read) <= 2 * position[1].bit_length()

    @given(size_pairs())
    def test_consistency_reads_what_it_said_and_little(self, pair: tuple[int, int]) -> None:
        recorder = Recorder()
        consistency_proof(*pair, recorder)
        assert sorted(recorder.read) == sorted(nodes_for_consistency(*pair))
        assert len(recorder.read) <= 2 * pair[1].bit_length()

    @given(sizes)
    def test_root_reads_what_it_said(self, size: int) -> None:
        recorder = Recorder()
        root_hash(size, recorder)
        assert recorder.read == nodes_for_root(size)
        assert len(recorder.read) == size.bit_count()

    def test_a_billion_leaves_need_few_nodes(self) -> None:
        assert len(nodes_for_inclusion(123_456_789, 10**9)) < 60
        assert len(nodes_for_consistency(123_456_789, 10**9)) < 60
        assert nodes_for_root(6) == [NodeId(2, 0), NodeId(1, 2)]

    def test_a_missing_node_is_data_loss(self) -> None:
        with pytest.raises(DataLoss, match="level 1, index 0"):
            root_hash(3, NodeMap({}))

    @pytest.mark.parametrize(
        ("function", "arguments"),
        [
            (inclusion_proof, (0, 0)),
            (inclusion_proof, (5, 5)),
            (inclusion_proof, (-1, 5)),
            (consistency_proof, (0, 5)),
            (consistency_proof, (6, 5)),
            (consistency_proof, (-1, 5)),
            (root_hash, (-1,)),
        ],
    )
    def test_impossible_positions(self, function: Any, arguments: tuple[int, ...]) -> None:
        with pytest.raises(BadTreePosition):
            function(*arguments, NodeMap(NODES))

    def test_impossible_sizes(self) -> None:
        with pytest.raises(BadTreePosition):
            nodes_for_root(-1)
        with pytest.raises(BadTreePosition):
            nodes_to_store(-1, [], NodeMap({}))


def stored_ids(size: int) -> set[NodeId]:
    return {node for node in NODES if (node.index + 1) << node.level <= size}


def damaged(proof: Sequence[bytes], draw: st.DrawFn) -> list[bytes]:
    """The proof with one change: a bit, an element more, less, doubled or shortened."""
    kinds = ["insert"] + (["flip", "remove", "cut"] if proof else [])
    kind, out = draw(st.sampled_from(kinds)), list(proof)
    place = draw(st.integers(0, max(len(out) - 1, 0)))
    match kind:
        case "flip":
            bit = draw(st.integers(0, 255))
            out[place] = (int.from_bytes(out[place]) ^ (1 << bit)).to_bytes(32)
        case "insert":
            out.insert(draw(st.integers(0, len(out))), draw(st.sampled_from([*out, EMPTY_ROOT, b""])))
        case "remove":
            del out[place]
        case _:
            out[place] = out[place][:-1]
    return out


class TestRefusals:
    @given(positions(), st.data())
    def test_a_damaged_inclusion_path(self, position: tuple[int, int], data: st.DataObject) -> None:
        index, size = position
        proof = damaged(inclusion_proof(index, size, NodeMap(NODES)), data.draw)
        with pytest.raises(InclusionRefused):
            verify_inclusion(index, size, leaf_hash(ENTRIES[index]), proof, mth(ENTRIES[:size]))

    @given(positions(), st.integers(0, SIZE))
    def test_another_index(self, position: tuple[int, int], other: int) -> None:
        index, size = position
        if index == other:
            return
        proof = inclusion_proof(index, size, NodeMap(NODES))
        with pytest.raises(InclusionRefused):
            verify_inclusion(other, size, leaf_hash(ENTRIES[index]), proof, mth(ENTRIES[:size]))

    @given(size_pairs(), st.data())
    def test_a_damaged_consistency_path(self, pair: tuple[int, int], data: st.DataObject) -> None:
        old, new = pair
        proof = damaged(consistency_proof(old, new, NodeMap(NODES)), data.draw)
        with pytest.raises(ConsistencyRefused):
            verify_consistency(old, new, mth(ENTRIES[:old]), mth(ENTRIES[:new]), proof)

    @given(size_pairs())
    def test_a_rewritten_history(self, pair: tuple[int, int]) -> None:
        old, new = pair
        proof = consistency_proof(old, new, NodeMap(NODES))
        rewritten = mth((b"another", *ENTRIES[1:old]))
        with pytest.raises(ConsistencyRefused):
            verify_consistency(old, new, rewritten, mth(ENTRIES[:new]), proof)

    @given(positions())
    def test_the_root_of_half_a_tree(self, position: tuple[int, int]) -> None:
        """A right path to a right root, said to be of a tree twice as high."""
        index, size = position
        proof = inclusion_proof(index, size, NodeMap(NODES))
        with pytest.raises(InclusionRefused, match="too short"):
            verify_inclusion(
                index, 2 << size.bit_length(), leaf_hash(ENTRIES[index]), proof, mth(ENTRIES[:size])
            )

    @given(size_pairs())
    def test_the_continuation_to_half_a_tree(self, pair: tuple[int, int]) -> None:
        old, new = pair
        proof = consistency_proof(old, new, NodeMap(NODES))
        with pytest.raises(ConsistencyRefused):
            verify_consistency(old, 2 << new.bit_length(), mth(ENTRIES[:old]), mth(ENTRIES[:new]), proof)

    def test_what_is_no_hash(self) -> None:
        with pytest.raises(InclusionRefused, match="0 bytes"):
            verify_inclusion(0, 1, b"", [], b"")
        with pytest.raises(ConsistencyRefused, match="4 bytes"):
            verify_consistency(1, 2, b"root", node_hash(b"root", EMPTY_ROOT), [EMPTY_ROOT])

    def test_a_node_is_no_leaf(self) -> None:
        """The prefixes keep an inner node from being shown as an entry (second preimage)."""
        pair = leaf_hash(b"a") + leaf_hash(b"b")
        assert leaf_hash(pair) != node_hash(leaf_hash(b"a"), leaf_hash(b"b"))


def vectors(kind: str) -> list[Any]:
    files = sorted((VECTORS / kind).rglob("*.json"))
    if not files:
        reason = "the published vectors are not beside this checkout (../shared/vectors/merkle)"
        return [pytest.param({}, marks=pytest.mark.skip(reason=reason), id="absent")]
    return [
        pytest.param(json.loads(file.read_text()), id=str(file.relative_to(VECTORS / kind))) for file in files
    ]


def decode(elements: list[str] | None) -> list[bytes]:
    return [base64.b64decode(element) for element in elements or []]


@pytest.mark.parametrize("vector", vectors("inclusion"))
def test_published_inclusion_vector(vector: dict[str, Any]) -> None:
    leaf, root = decode([vector["leafHash"], vector["root"]])
    arguments = (vector["leafIdx"], vector["treeSize"], leaf, decode(vector["proof"]), root)
    if vector["wantErr"]:
        with pytest.raises(InclusionRefused):
            verify_inclusion(*arguments)
    else:
        verify_inclusion(*arguments)


@pytest.mark.parametrize("vector", vectors("consistency"))
def test_published_consistency_vector(vector: dict[str, Any]) -> None:
    old_root, new_root = decode([vector["root1"], vector["root2"]])
    arguments = (vector["size1"], vector["size2"], old_root, new_root, decode(vector["proof"]))
    if vector["wantErr"]:
        with pytest.raises(ConsistencyRefused):
            verify_consistency(*arguments)
    else:
        verify_consistency(*arguments)
