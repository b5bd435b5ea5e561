"""Signed notes and checkpoints, strict in what they read."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza_kit.signing import KeyRing, SigningKey, encode_base64
from plaza_kit.tlog.checkpoint import (
    Checkpoint,
    MalformedCheckpoint,
    open_checkpoint,
    parse_checkpoint,
    parse_checkpoint_text,
    sign_checkpoint,
)
from plaza_kit.tlog.merkle import EMPTY_ROOT
from plaza_kit.tlog.note import (
    BadNoteSignature,
    MalformedNote,
    UnknownNoteKey,
    parse_note,
    sign_note,
    verify_note,
)

KEY = SigningKey.from_seed("plaza.example/ledger", bytes(range(32)))
NEXT = SigningKey.from_seed("plaza.example/ledger", bytes(range(1, 33)))
WITNESS = SigningKey.from_seed("witness.example/a", bytes(range(2, 34)))
RING = KeyRing([KEY.verifying_key])
ROOT = bytes(range(32))

# A note and its key, published with an independent implementation of C2SP signed notes.
PUBLISHED_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
PUBLISHED_NOTE = (
    "This is an example message.\n"
    "\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72"
    "IneyaQM=\n"
)


def raw_note(text: str, line: str | None = None) -> str:
    """A note built by hand, whatever its text, with a right signature unless a line is given."""
    signature = encode_base64(KEY.verifying_key.hash + KEY.sign(text.encode("utf-8", "surrogatepass")))
    return f"{text}\n{line or f'— {KEY.name} {signature}'}\n"


class TestNote:
    def test_reads_a_published_note(self) -> None:
        note = parse_note(PUBLISHED_NOTE)
        assert note.text == "This is an example message.\n"
        (key,) = verify_note(note, KeyRing.from_vkeys([PUBLISHED_VKEY]))
        assert key.vkey == PUBLISHED_VKEY
        assert str(note) == PUBLISHED_NOTE

    @given(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]) | st.just("\n"), max_size=40))
    def test_goes_both_ways(self, text: str) -> None:
        note = sign_note(text + "\n", [KEY, WITNESS])
        assert parse_note(str(note)) == note
        assert verify_note(note, RING) == (KEY.verifying_key,)

    def test_key_hash_is_that_of_the_specification(self) -> None:
        (line,) = sign_note("a\n", [KEY]).signatures
        assert f"{line.name}+{line.key_hash.hex()}" == KEY.key_id

    def test_names_all_trusted_signers_once(self) -> None:
        note = sign_note("a\n", [WITNESS, KEY, NEXT, KEY])
        ring = KeyRing([KEY.verifying_key, WITNESS.verifying_key])
        assert verify_note(note, ring) == (WITNESS.verifying_key, KEY.verifying_key)

    def test_a_stranger_with_our_name_counts_for_nothing(self) -> None:
        note = sign_note("a\n", [NEXT])
        with pytest.raises(UnknownNoteKey) as caught:
            verify_note(note, RING)
        assert NEXT.key_id in caught.value.message
        assert KEY.key_id in caught.value.message
        with pytest.raises(UnknownNoteKey, match="trusted: none"):
            verify_note(note, KeyRing())

    def test_one_wrong_signature_of_a_known_key_refuses_all(self) -> None:
        good, other = sign_note("a\n", [KEY, WITNESS]), sign_note("b\n", [WITNESS])
        mixed = parse_note(str(good).replace(good.signatures[1].line, other.signatures[0].line))
        assert verify_note(mixed, RING) == (KEY.verifying_key,)
        with pytest.raises(BadNoteSignature, match=re.escape(WITNESS.key_id)):
            verify_note(mixed, KeyRing([KEY.verifying_key, WITNESS.verifying_key]))

    def test_changed_text_is_noticed(self) -> None:
        note = parse_note(PUBLISHED_NOTE.replace("example message", "Example message"))
        with pytest.raises(BadNoteSignature):
            verify_note(note, KeyRing.from_vkeys([PUBLISHED_VKEY]))

    def test_text_may_have_blank_lines(self) -> None:
        note = sign_note("a\n\n\nb\n", [KEY])
        assert parse_note(str(note)).text == "a\n\n\nb\n"
        # The last blank line divides: a text that ends in one must not lose it.
        note = sign_note("a\n\n", [KEY])
        assert parse_note(str(note)) == note

    @pytest.mark.parametrize(
        "note",
        [
            "",
            "\n",
            "\n\n",
            "a\n",
            "a\n\n",
            "a\n— n AAAAAAAA\n",
            PUBLISHED_NOTE[:-1],
            PUBLISHED_NOTE + "\n",
            PUBLISHED_NOTE + "x\n",
            PUBLISHED_NOTE.replace("\n", "\r\n"),
            PUBLISHED_NOTE.replace("This", "\tThis"),
            PUBLISHED_NOTE.replace("This", "\x00This"),
            PUBLISHED_NOTE.replace("This", "\ud800This"),
            PUBLISHED_NOTE.replace("— ", "- "),
            PUBLISHED_NOTE.replace("— ", "—  "),
            PUBLISHED_NOTE.replace("— ", "—"),
            PUBLISHED_NOTE.replace("foo ", "foo\u3000"),
            PUBLISHED_NOTE.replace("foo ", "foo+1 "),
            PUBLISHED_NOTE.replace("foo Uw", "foo  Uw"),
            PUBLISHED_NOTE.replace("aQM=", "aQN="),
            PUBLISHED_NOTE.replace("aQM=", "aQM"),
            PUBLISHED_NOTE.replace("aQM=", "aQM= "),
            raw_note("a\n", "— n AAAAAA=="),
            raw_note("a\n", "—  AAAAAAAA"),
            raw_note("a\n", "\n".join(["— n AAAAAAAA"] * 101)),
            raw_note("a" * (1 << 20) + "\n"),
        ],
    )
    def test_anything_else_is_no_note(self, note: str) -> None:
        with pytest.raises(MalformedNote):
            parse_note(note)

    @pytest.mark.parametrize("text", ["", "a", "a\r\n", "a\0\n", "\ud800\n", "a" * (1 << 20) + "\n"])
    def test_does_not_sign_what_would_not_be_read(self, text: str) -> None:
        with pytest.raises(MalformedNote):
            sign_note(text, [KEY])

    def test_does_not_make_an_unsigned_note(self) -> None:
        with pytest.raises(MalformedNote, match="at least one"):
            sign_note("a\n", [])

    def test_other_kinds_of_signatures_are_passed_over(self) -> None:
        """A witness may sign with an algorithm that we do not know; its line must not close the note."""
        strange = f"— witness.example/pq {encode_base64(bytes(2424))}\n"
        assert verify_note(parse_note(str(sign_note("a\n", [KEY])) + strange), RING)


class TestCheckpoint:
    @given(
        st.integers(1, (1 << 63) - 1),
        st.binary(min_size=32, max_size=32),
        st.lists(st.from_regex(r"[a-z ]{1,9}", fullmatch=True), max_size=2),
    )
    def test_goes_both_ways(self, size: int, root: bytes, extensions: list[str]) -> None:
        checkpoint = Checkpoint(KEY.name, size, root, tuple(extensions))
        opened = open_checkpoint(sign_checkpoint(checkpoint, KEY, WITNESS), RING)
        assert opened.checkpoint == checkpoint
        assert opened.signers == (KEY.verifying_key,)

    def test_reads_the_example_of_the_specification(self) -> None:
        text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
        checkpoint = parse_checkpoint_text(text)
        assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
        assert checkpoint.text == text

    def test_parse_does_not_ask_who_signed(self) -> None:
        checkpoint = Checkpoint(NEXT.name, 5, ROOT)
        assert parse_checkpoint(sign_checkpoint(checkpoint, NEXT)) == checkpoint

    def test_an_empty_log_has_a_checkpoint(self) -> None:
        opened = open_checkpoint(
            sign_checkpoint(Checkpoint(KEY.name, 0, EMPTY_ROOT), KEY), [KEY.verifying_key]
        )
        assert opened.checkpoint.size == 0

    def test_rotation_is_two_signatures(self) -> None:
        note = sign_checkpoint(Checkpoint(KEY.name, 5, ROOT), KEY, NEXT)
        assert open_checkpoint(note, [NEXT.verifying_key]).signers == (NEXT.verifying_key,)

    def test_a_trusted_key_of_another_log_is_not_enough(self) -> None:
        text = Checkpoint(KEY.name, 5, ROOT).text
        note = str(sign_note(text, [WITNESS]))
        with pytest.raises(UnknownNoteKey, match="did not sign its checkpoint"):
            open_checkpoint(note, [KEY.verifying_key, WITNESS.verifying_key])

    def test_is_signed_in_the_logs_own_name(self) -> None:
        with pytest.raises(MalformedCheckpoint, match="signed by a key of that name"):
            sign_checkpoint(Checkpoint(KEY.name, 5, ROOT), WITNESS)

    @pytest.mark.parametrize(
        ("line", "text"),
        [
            (1, "-1"),
            (1, "+5"),
            (1, "05"),
            (1, "00"),
            (1, ""),
            (1, " 5"),
            (1, "5 "),
            (1, "5.0"),
            (1, "٥"),
            (1, "9223372036854775808"),
            (1, "99999999999999999999"),
            (1, "0"),
            (2, ""),
            (2, "AAAA"),
            (2, encode_base64(ROOT)[:-1]),
            (2, encode_base64(ROOT + b"x")),
            (2, encode_base64(ROOT).replace("A", "-", 1)),
            (2, encode_base64(ROOT) + " "),
            (0, ""),
            (3, "\nx"),
        ],
    )
    def test_bad_lines_are_refused_though_signed(self, line: int, text: str) -> None:
        lines = [KEY.name, "5", encode_base64(ROOT), "extension"]
        lines[line] = text
        with pytest.raises(MalformedCheckpoint):
            open_checkpoint(raw_note("".join(f"{part}\n" for part in lines)), RING)

    @pytest.mark.parametrize("text", ["", "\n", "a\n5\n", "a\n5\n" + encode_base64(ROOT)])
    def test_missing_lines_are_refused(self, text: str) -> None:
        with pytest.raises(MalformedCheckpoint):
            parse_checkpoint_text(text)

    @pytest.mark.parametrize(
        "arguments",
        [
            ("", 5, ROOT),
            ("a\nb", 5, ROOT),
            ("a", -1, ROOT),
            ("a", 1 << 63, ROOT),
            ("a", 5, ROOT[:-1]),
            ("a", 0, ROOT),
            ("a", 5, ROOT, ("",)),
            ("a", 5, ROOT, ("x\ny",)),
        ],
    )
    def test_no_such_checkpoint_can_be_made(self, arguments: tuple[object, ...]) -> None:
        with pytest.raises(MalformedCheckpoint):
            Checkpoint(*arguments)  # type: ignore[arg-type] # wrong on purpose

    def test_another_size_or_root_breaks_the_signature(self) -> None:
        note = sign_checkpoint(Checkpoint(KEY.name, 5, ROOT), KEY)
        for changed in (
            note.replace("\n5\n", "\n6\n"),
            note.replace(encode_base64(ROOT), encode_base64(EMPTY_ROOT)),
        ):
            with pytest.raises(BadNoteSignature):
                open_checkpoint(changed, RING)
