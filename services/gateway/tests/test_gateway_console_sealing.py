"""Sealed cookies: nobody reads, changes, outlives or moves them; and long ones come in pieces."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza_gateway.console import cookies
from plaza_gateway.console.sealing import BadConsoleKey, Seal
from starlette.responses import Response

SEAL = Seal(bytes(32))
VALUE = {"token": "secret", "n": 1}
SEALED = SEAL.seal("session", VALUE, 100.0)


def test_what_is_sealed_is_opened_and_not_readable() -> None:
    assert SEAL.unseal("session", SEALED, 99.9) == VALUE
    assert b"secret" not in base64.urlsafe_b64decode(SEALED + "==")
    assert SEAL.seal("session", VALUE, 100.0) != SEALED


def test_it_ends_and_belongs_to_one_key_and_one_purpose() -> None:
    assert SEAL.unseal("session", SEALED, 100.0) is None
    assert SEAL.unseal("login", SEALED, 0.0) is None
    assert Seal(b"\x01" * 32).unseal("session", SEALED, 0.0) is None


@given(st.integers(0, len(SEALED) - 1), st.sampled_from("AB-_z9"))
def test_no_letter_of_it_can_be_changed(place: int, letter: str) -> None:
    changed = SEALED[:place] + letter + SEALED[place + 1 :]
    opened = SEAL.unseal("session", changed, 0.0)
    # The last letter holds bits that belong to no byte.
    assert opened is None or changed == SEALED or place == len(SEALED) - 1


@given(st.text(max_size=200))
def test_any_text_is_no_session(text: str) -> None:
    assert SEAL.unseal("session", text, 0.0) is None


@pytest.mark.parametrize("content", [None, "", "not base64!", base64.b64encode(bytes(16)).decode()])
def test_a_key_file_holds_32_bytes(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "console.key"
    if content is not None:
        path.write_text(content)
    with pytest.raises(BadConsoleKey, match=r"console\.key"):
        Seal.of_file(path)
    path.write_text(base64.b64encode(bytes(32)).decode() + "\n")
    assert Seal.of_file(path).unseal("session", SEALED, 0.0) == VALUE


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("length", [1, cookies.PIECE, cookies.PIECE + 1, 3 * cookies.PIECE])
def test_long_texts_come_in_pieces(secure: bool, length: int) -> None:
    response = Response()
    cookies.write(response, "s", "x" * length, {}, secure=secure, seconds=60)
    lines = response.headers.getlist("set-cookie")
    for line in lines:
        assert len(line) < 4096
        assert "HttpOnly" in line
        assert "SameSite=lax" in line
        assert "Path=/" in line
        assert ("Secure" in line) == secure
        assert line.startswith("__Host-") == secure
    kept = dict(line.partition(";")[0].split("=", 1) for line in lines)
    assert cookies.read(kept, "s", secure=secure) == "x" * length
    assert cookies.read(kept, "s", secure=not secure) == ""


def test_a_shorter_text_leaves_nothing_of_the_longer_one() -> None:
    response = Response()
    cookies.write(response, "s", "x", {"s": "a", "s.1": "b"}, secure=False, seconds=60)
    gone = [line for line in response.headers.getlist("set-cookie") if "Max-Age=0" in line]
    assert [line.partition("=")[0] for line in gone] == ["s.1"]
    with pytest.raises(ValueError, match="do not fit"):
        cookies.write(response, "s", "x" * 40_000, {}, secure=False, seconds=60)
