"""The proof beside a file: its text, each link that can break, and the vector in ADR 0003."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza_kit.signing import BadKey, SigningKey, encode_base64
from plaza_kit.tlog.checkpoint import Checkpoint, sign_checkpoint
from plaza_kit.tlog.leaf import NotCanonical, canonical_json, parse_canonical
from plaza_kit.tlog.merkle import NodeId, NodeMap, leaf_hash, nodes_to_store, root_hash
from plaza_kit.tlog.proof import (
    CheckpointKeyUnknown,
    CheckpointSignatureBroken,
    FileNotInLeaf,
    FileProof,
    LeafNotInTree,
    MalformedProof,
    ProofBroken,
    make_file_proof,
    proof_path,
    sha256_of_file,
    verify_file_proof,
)

ADR = Path(__file__).parents[3] / "docs" / "adr" / "0003-file-proof.md"
KEY = SigningKey.from_seed("plaza.example/ledger", bytes(range(32)))
STRANGER = SigningKey.from_seed("plaza.example/ledger", bytes(range(1, 33)))
VKEYS = [KEY.verifying_key.vkey]
CONTENT = "station,pm2_5\n万寿西宫,42\n".encode()
SHA256 = hashlib.sha256(CONTENT).hexdigest()
EVENT: dict[str, Any] = {
    "id": "0198a6d2-0000-7000-8000-000000000001",
    "type": "city.plaza.opendata.release.published.v1",
    "subject": "departments/ecology/datasets/air-quality/releases/1",
    "time": "2026-11-20T08:00:00Z",
    "data": {"file_name": "air-quality-1.csv", "sha256": SHA256, "size": len(CONTENT), "version": 3},
}


def proof_of(leaf: str, index: int = 2, size: int = 5, key: SigningKey = KEY) -> FileProof:
    """A proof as the ledger makes it, for a leaf among others."""
    leaves = [leaf if i == index else canonical_json({"n": i}) for i in range(size)]
    hashes = [leaf_hash(text.encode()) for text in leaves]
    nodes = {NodeId(0, i): value for i, value in enumerate(hashes)}
    reader = NodeMap(nodes | nodes_to_store(0, hashes, NodeMap({})))
    checkpoint = sign_checkpoint(Checkpoint(key.name, size, root_hash(size, reader)), key)
    return make_file_proof(leaf, index, size, reader, checkpoint)


PROOF = proof_of(canonical_json(EVENT))


class TestVector:
    """What ADR 0003 prints is what the code makes and accepts."""

    text = ADR.read_text(encoding="utf-8")

    def test_proof(self) -> None:
        match = re.search(r"```json\n(.*?\n)```", self.text, re.DOTALL)
        assert match is not None
        assert match[1] == PROOF.to_json()
        verify_file_proof(FileProof.from_json(match[1]), SHA256, VKEYS)

    @pytest.mark.parametrize(
        "fact",
        [
            VKEYS[0],
            SHA256,
            leaf_hash(PROOF.leaf.encode()).hex(),
            "    station,pm2_5\n    万寿西宫,42\n",
            "has 30 bytes",
        ],
    )
    def test_facts(self, fact: str) -> None:
        assert fact in self.text

    def test_every_member_and_error_is_described(self) -> None:
        for name in json.loads(PROOF.to_json()):
            assert f"| `{name}` |" in self.text
        errors = (FileNotInLeaf, LeafNotInTree, CheckpointKeyUnknown, CheckpointSignatureBroken)
        for error in errors:
            assert f"`{error('').reason}`" in self.text


class TestVerify:
    def test_says_what_is_proved(self) -> None:
        verified = verify_file_proof(PROOF, SHA256, [STRANGER.verifying_key.vkey, *VKEYS])
        assert verified.sha256 == SHA256
        assert verified.file_name == "air-quality-1.csv"
        assert verified.event_type == EVENT["type"]
        assert verified.subject == EVENT["subject"]
        assert verified.time == datetime(2026, 11, 20, 8, tzinfo=UTC)
        assert verified.event == EVENT
        assert verified.leaf_index == 2
        assert (verified.checkpoint.origin, verified.checkpoint.size) == ("plaza.example/ledger", 5)
        assert verified.key == KEY.verifying_key

    @given(st.integers(1, 40), st.data())
    def test_anywhere_in_any_tree(self, size: int, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, size - 1))
        proof = FileProof.from_json(proof_of(canonical_json(EVENT), index, size).to_json())
        assert verify_file_proof(proof, SHA256, VKEYS).leaf_index == index

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            (lambda p: replace(p, leaf=p.leaf.replace('"version":3', '"version":4')), LeafNotInTree),
            (lambda p: replace(p, leaf_index=3), LeafNotInTree),
            (lambda p: replace(p, leaf_index=5), LeafNotInTree),
            (lambda p: replace(p, tree_size=6), LeafNotInTree),
            (lambda p: replace(p, inclusion_path=p.inclusion_path[:-1]), LeafNotInTree),
            (lambda p: replace(p, inclusion_path=p.inclusion_path[::-1]), LeafNotInTree),
            (lambda p: replace(p, inclusion_path=()), LeafNotInTree),
            (lambda p: replace(p, checkpoint=p.checkpoint.replace("\n5\n", "\n6\n")), LeafNotInTree),
            (lambda p: proof_of(p.leaf, key=STRANGER), CheckpointKeyUnknown),
            (lambda p: replace(p, checkpoint=resigned(p.checkpoint)), CheckpointSignatureBroken),
            (lambda p: replace(p, checkpoint=p.checkpoint.replace("5\n", "5\n", 1) + "x"), MalformedProof),
            (lambda p: replace(p, checkpoint=""), MalformedProof),
        ],
    )
    def test_names_the_broken_link(
        self, change: Callable[[FileProof], FileProof], error: type[Exception]
    ) -> None:
        with pytest.raises(error) as caught:
            verify_file_proof(change(PROOF), SHA256, VKEYS)
        assert type(caught.value) is error
        assert caught.value.remedy  # type: ignore[attr-defined] # both kinds are PlazaErrors

    def test_another_file(self) -> None:
        other = hashlib.sha256(CONTENT + b"x").hexdigest()
        with pytest.raises(FileNotInLeaf) as caught:
            verify_file_proof(PROOF, other, VKEYS)
        assert other in caught.value.message
        assert SHA256 in caught.value.message
        assert "air-quality-1.csv" in caught.value.message
        assert caught.value.code is grpc.StatusCode.DATA_LOSS
        assert isinstance(caught.value, ProofBroken)

    def test_a_leaf_rewritten_for_another_file_is_not_in_the_tree(self) -> None:
        other = hashlib.sha256(b"forged").hexdigest()
        with pytest.raises(LeafNotInTree):
            verify_file_proof(replace(PROOF, leaf=PROOF.leaf.replace(SHA256, other)), other, VKEYS)

    def test_a_tree_of_ones_own_is_not_signed(self) -> None:
        """Who makes leaf, path and root anew has no key to sign with."""
        forged = proof_of(canonical_json(EVENT | {"subject": "forged"}))
        signature = PROOF.checkpoint.split("\n\n")[1]
        checkpoint = forged.checkpoint.split("\n\n")[0] + "\n\n" + signature
        with pytest.raises(CheckpointSignatureBroken):
            verify_file_proof(replace(forged, checkpoint=checkpoint), SHA256, VKEYS)

    def test_without_keys_nothing_is_trusted(self) -> None:
        with pytest.raises(CheckpointKeyUnknown, match="trusted: none"):
            verify_file_proof(PROOF, SHA256, [])

    def test_a_mistyped_key_is_said_first(self) -> None:
        with pytest.raises(BadKey):
            verify_file_proof(PROOF, SHA256, [VKEYS[0][:-1]])

    @pytest.mark.parametrize(
        ("event", "member"),
        [
            ({"type": 1}, "leaf.type"),
            ({"type": ""}, "leaf.type"),
            ({"subject": None}, "leaf.subject"),
            ({"time": "yesterday"}, "leaf.time"),
            ({"time": "2026-11-20T08:00:00"}, "leaf.time"),
            ({"time": 5}, "leaf.time"),
            ({"data": []}, "leaf.data"),
            ({"data": {"file_name": "a.csv"}}, "leaf.data.sha256"),
            ({"data": {"file_name": "a.csv", "sha256": SHA256.upper()}}, "leaf.data.sha256"),
            ({"data": {"file_name": "a.csv", "sha256": SHA256 + "\n"}}, "leaf.data.sha256"),
            ({"data": {"sha256": SHA256}}, "leaf.data.file_name"),
            ({"data": {"file_name": "", "sha256": SHA256}}, "leaf.data.file_name"),
            ({"data": {"file_name": "..", "sha256": SHA256}}, "leaf.data.file_name"),
            ({"data": {"file_name": "../a.csv", "sha256": SHA256}}, "leaf.data.file_name"),
            ({"data": {"file_name": "a\\b", "sha256": SHA256}}, "leaf.data.file_name"),
            ({"data": {"file_name": "\x1b[31m", "sha256": SHA256}}, "leaf.data.file_name"),
        ],
    )
    def test_an_event_that_is_not_about_a_file(self, event: dict[str, Any], member: str) -> None:
        with pytest.raises(MalformedProof) as caught:
            verify_file_proof(proof_of(canonical_json(EVENT | event)), SHA256, VKEYS)
        assert caught.value.member == member

    @pytest.mark.parametrize("name", ["type", "subject", "time", "data"])
    def test_an_event_without_a_member(self, name: str) -> None:
        event = {key: value for key, value in EVENT.items() if key != name}
        with pytest.raises(MalformedProof) as caught:
            verify_file_proof(proof_of(canonical_json(event)), SHA256, VKEYS)
        assert caught.value.member == f"leaf.{name}"

    @pytest.mark.parametrize(
        "leaf", ["", "[]", "{", json.dumps(EVENT), '{"a":1,"a":2}', '{"a":1.5}', '{"a":"\ud800"}']
    )
    def test_a_leaf_that_is_not_canonical(self, leaf: str) -> None:
        with pytest.raises(MalformedProof) as caught:
            verify_file_proof(replace(PROOF, leaf=leaf), SHA256, VKEYS)
        assert caught.value.member == "leaf"


def resigned(checkpoint: str) -> str:
    """The checkpoint with a signature over something else."""
    other = sign_checkpoint(Checkpoint(KEY.name, 7, bytes(32)), KEY)
    return checkpoint.split("\n\n")[0] + "\n\n" + other.split("\n\n")[1]


class TestText:
    def test_goes_both_ways(self) -> None:
        assert FileProof.from_json(PROOF.to_json()) == PROOF
        assert list(json.loads(PROOF.to_json())) == [
            "format",
            "version",
            "leaf",
            "leaf_index",
            "tree_size",
            "inclusion_path",
            "checkpoint",
        ]

    @pytest.mark.parametrize(
        ("member", "value"),
        [
            ("format", "tlog-proof"),
            ("format", None),
            ("version", 2),
            ("version", True),
            ("version", "1"),
            ("leaf", {"type": "x"}),
            ("leaf", None),
            ("leaf_index", -1),
            ("leaf_index", True),
            ("leaf_index", 2.0),
            ("leaf_index", "2"),
            ("leaf_index", 1 << 63),
            ("tree_size", None),
            ("inclusion_path", "AAAA"),
            ("inclusion_path", {}),
            ("checkpoint", 5),
            ("extra", 1),
        ],
    )
    def test_a_wrong_member_is_named(self, member: str, value: object) -> None:
        document = json.loads(PROOF.to_json()) | {member: value}
        with pytest.raises(MalformedProof) as caught:
            FileProof.from_json(json.dumps(document))
        assert caught.value.member == member
        assert caught.value.facts == {"member": member}
        assert member in caught.value.message

    @pytest.mark.parametrize(
        "element", ["", "AAAA", 5, None, encode_base64(bytes(33)), encode_base64(bytes(32))[:-1], "ä"]
    )
    def test_a_wrong_element_is_named(self, element: object) -> None:
        document = json.loads(PROOF.to_json())
        document["inclusion_path"][1] = element
        with pytest.raises(MalformedProof) as caught:
            FileProof.from_json(json.dumps(document))
        assert caught.value.member == "inclusion_path[1]"

    @pytest.mark.parametrize(
        "member", ["format", "version", "leaf", "leaf_index", "tree_size", "inclusion_path", "checkpoint"]
    )
    def test_a_missing_or_doubled_member_is_named(self, member: str) -> None:
        document = json.loads(PROOF.to_json())
        doubled = PROOF.to_json().replace("{", "{" + f'"{member}": {json.dumps(document[member])},', 1)
        del document[member]
        for text in (json.dumps(document), doubled):
            with pytest.raises(MalformedProof) as caught:
                FileProof.from_json(text)
            assert caught.value.member == member

    @pytest.mark.parametrize(
        "text", ["", "{", "[]", "null", "5", "[" * 100_000, " " * (1 << 20) + "{}", "\ufeff{}"]
    )
    def test_rubbish(self, text: str) -> None:
        with pytest.raises(MalformedProof) as caught:
            FileProof.from_json(text)
        assert caught.value.member == "document"

    def test_an_object_in_the_leaf_is_not_taken_for_a_doubled_member(self) -> None:
        leaf = canonical_json(EVENT | {"format": "x", "version": "y"})
        assert FileProof.from_json(proof_of(leaf).to_json()).leaf == leaf


class TestFile:
    def test_hash_is_streamed_from_the_file(self, tmp_path: Path) -> None:
        file = tmp_path / "空气.csv"
        file.write_bytes(CONTENT * 50_000)
        assert sha256_of_file(file) == hashlib.sha256(CONTENT * 50_000).hexdigest()
        assert proof_path(file) == tmp_path / "空气.csv.proof.json"

    def test_the_whole_way(self, tmp_path: Path) -> None:
        file = tmp_path / "renamed.csv"
        file.write_bytes(CONTENT)
        proof_path(file).write_text(PROOF.to_json(), encoding="utf-8")
        proof = FileProof.from_json(proof_path(file).read_text(encoding="utf-8"))
        assert verify_file_proof(proof, sha256_of_file(file), VKEYS).file_name == "air-quality-1.csv"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=10,
)


class TestCanonicalJson:
    @given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), json_values, max_size=4))
    def test_is_one_text_for_one_value(self, value: dict[str, Any]) -> None:
        text = canonical_json(value)
        assert json.loads(text) == value
        assert parse_canonical(text) == value
        assert canonical_json(dict(reversed(value.items()))) == text

    def test_members_are_sorted_by_utf_16(self) -> None:
        # RFC 8785 §3.2.3: the example's names, in its order.
        names = ["\r", "1", "\u0080", "ö", "€", "😂", "\ufb33"]
        assert list(json.loads(canonical_json(dict.fromkeys(reversed(names), 0)))) == names

    def test_escapes_are_minimal(self) -> None:
        # RFC 8785 §3.2.2.2.
        assert canonical_json({"a": "\u20ac$\u000f\nA'B\"\\/\x7f"}) == '{"a":"€$\\u000f\\nA\'B\\"\\\\/\x7f"}'

    @pytest.mark.parametrize(
        "value",
        [
            1.5,
            1.0,
            float("nan"),
            2**53,
            -(2**53),
            b"x",
            "\ud800",
            ["\udfff"],
            {"\ud800": 1},
            {1: 2},
            {"a": {"b": object()}},
        ],
    )
    def test_what_has_no_sure_text_is_refused(self, value: object) -> None:
        with pytest.raises(NotCanonical):
            canonical_json({"x": value})

    @pytest.mark.parametrize(
        "text",
        [
            '{"b":1,"a":2}',
            '{"a": 1}',
            '{"a":1} ',
            '{"a":1,"a":1}',
            '{"a":"\\u4e2d"}',
            '{"a":1e2}',
            '{"a":-0}',
            "1",
            "NaN",
        ],
    )
    def test_another_spelling_is_refused(self, text: str) -> None:
        with pytest.raises(NotCanonical):
            parse_canonical(text)

    def test_depth_does_not_break_the_reader(self) -> None:
        with pytest.raises(NotCanonical):
            parse_canonical('{"a":' * 100_000)
        with pytest.raises(NotCanonical):
            parse_canonical('{"a":' * 900 + "1" + "}" * 900)
