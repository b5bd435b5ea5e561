"""Keys, their files and texts, and signed statements."""

from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from plaza_kit.signing import (
    BadKey,
    KeyFileExists,
    KeyFileMissing,
    KeyId,
    KeyRing,
    SigningKey,
    UnsafeKeyFile,
    VerifyingKey,
    decode_base64,
    encode_base64,
)
from plaza_kit.statements import BadStatement, UnsignableStatement, sign_statement, verify_statement

NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
SECOND = int(NOW.timestamp())
TYP = "plaza-test+jwt"
KEY = SigningKey.from_seed("plaza.example/grants", bytes(range(32)))
OTHER = SigningKey.from_seed("plaza.example/grants", bytes(range(1, 33)))
KEYS = KeyRing([KEY.verifying_key])
# Published with an independent implementation of C2SP signed notes.
PUBLISHED_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"


def claims(**changes: Any) -> dict[str, Any]:
    return {"iat": SECOND, "exp": SECOND + 60, "sub": "people/li"} | changes


def token(**changes: Any) -> str:
    return sign_statement(claims(**changes), typ=TYP, key=KEY)


def verify(text: str, **changes: Any) -> dict[str, Any]:
    return verify_statement(text, **({"typ": TYP, "keys": KEYS, "now": NOW} | changes))


def encode(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def forge(header: object, payload: bytes | None = None, key: SigningKey = KEY) -> str:
    """A token whose signature is right for whatever header and payload it carries."""
    body = json.dumps(claims()).encode() if payload is None else payload
    signed = f"{encode(json.dumps(header).encode())}.{encode(body)}"
    return f"{signed}.{encode(key.sign(signed.encode()))}"


HEADER = {"alg": "Ed25519", "typ": TYP, "kid": KEY.key_id}


class TestVerifyingKey:
    def test_reads_and_writes_a_published_vkey(self) -> None:
        key = VerifyingKey.from_vkey(PUBLISHED_VKEY)
        assert key.name == "example.com/foo"
        assert key.key_id == "example.com/foo+530d903a"
        assert key.vkey == PUBLISHED_VKEY

    @given(st.binary(min_size=32, max_size=32), st.sampled_from(["a", "plaza.example/账本", "x/y-z_1"]))
    def test_vkey_goes_both_ways(self, seed: bytes, name: str) -> None:
        key = SigningKey.from_seed(name, seed).verifying_key
        assert VerifyingKey.from_vkey(key.vkey) == key

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("", "name+hash+base64"),
            ("example.com/foo+530d903a", "name+hash+base64"),
            (PUBLISHED_VKEY.replace("530d903a", "530d903b"), "does not belong"),
            (PUBLISHED_VKEY.replace("530d903a", "530D903A"), "does not belong"),
            (PUBLISHED_VKEY.replace("foo", "bar"), "does not belong"),
            (PUBLISHED_VKEY.replace("AekyeR", "AukyeR"), "type byte"),
            (PUBLISHED_VKEY + "AAAA", "has 35 bytes"),
            (PUBLISHED_VKEY + "\n", "not base64"),
            (PUBLISHED_VKEY[:-1], "not base64"),
            (" " + PUBLISHED_VKEY, "spaces"),
            ("+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", "must not be empty"),
        ],
    )
    def test_refuses_a_damaged_vkey(self, text: str, problem: str) -> None:
        with pytest.raises(BadKey) as caught:
            VerifyingKey.from_vkey(text)
        assert problem in caught.value.message
        assert caught.value.remedy

    @pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u3000b", "a\nb", "a\x7f", "a\u200bb"])
    def test_refuses_a_name_that_a_note_cannot_carry(self, name: str) -> None:
        with pytest.raises(BadKey):
            SigningKey.generate(name)

    def test_verifies_only_its_own_signature_of_the_same_message(self) -> None:
        key = KEY.verifying_key
        signature = KEY.sign(b"text")
        assert key.verify(b"text", signature)
        assert not key.verify(b"texT", signature)
        assert not key.verify(b"text", OTHER.sign(b"text"))
        assert not key.verify(b"text", signature[:-1])
        assert not key.verify(b"text", b"")

    def test_rfc_8032_vector(self) -> None:
        # RFC 8032 §7.1, TEST 2.
        seed = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
        key = SigningKey.from_seed("rfc8032", seed)
        public = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
        assert key.verifying_key.public_bytes.hex() == public
        assert key.sign(b"\x72").hex() == (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        )


class TestSigningKeyFile:
    def test_save_and_load(self, tmp_path: Path) -> None:
        path = tmp_path / "key.pem"
        KEY.save(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [p.name for p in tmp_path.iterdir()] == ["key.pem"]
        loaded = SigningKey.load(path)
        assert loaded.verifying_key == KEY.verifying_key
        assert loaded.sign(b"x") == KEY.sign(b"x")

    def test_never_overwrites(self, tmp_path: Path) -> None:
        path = tmp_path / "key.pem"
        KEY.save(path)
        with pytest.raises(KeyFileExists, match="not overwritten"):
            OTHER.save(path)
        assert SigningKey.load(path).key_id == KEY.key_id
        assert [p.name for p in tmp_path.iterdir()] == ["key.pem"]

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o777])
    def test_refuses_a_file_that_others_may_use(self, tmp_path: Path, mode: int) -> None:
        path = tmp_path / "key.pem"
        KEY.save(path)
        path.chmod(mode)
        with pytest.raises(UnsafeKeyFile) as caught:
            SigningKey.load(path)
        assert f"{mode:04o}" in caught.value.message
        assert f"chmod 600 {path}" in caught.value.remedy

    def test_takes_a_secret_mounted_for_the_group_of_the_pod(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "key.pem"
        KEY.save(path)
        path.chmod(0o440)
        owner = path.stat()
        real = os.fstat

        def mounted(fd: int) -> os.stat_result:
            fields = list(real(fd))
            fields[stat.ST_UID] = 0
            return os.stat_result(fields)

        monkeypatch.setattr(os, "geteuid", lambda: 10001)
        monkeypatch.setattr(os, "fstat", mounted)
        assert SigningKey.load(path).key_id == KEY.key_id
        monkeypatch.setattr(os, "getegid", lambda: owner.st_gid + 1)
        monkeypatch.setattr(os, "getgroups", list)
        with pytest.raises(UnsafeKeyFile):
            SigningKey.load(path)

    def test_missing_file_and_folder(self, tmp_path: Path) -> None:
        with pytest.raises(KeyFileMissing, match="no key file"):
            SigningKey.load(tmp_path / "none.pem")
        with pytest.raises(KeyFileMissing, match="no folder"):
            KEY.save(tmp_path / "none" / "key.pem")

    @pytest.mark.parametrize(
        "content", [b"", b"plaza-key: a\n", b"plaza-key: a\nx", b"\xff\xfe", b"no newline"]
    )
    def test_refuses_rubbish_naming_the_path(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "key.pem"
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(BadKey) as caught:
            SigningKey.load(path)
        assert str(path) in caught.value.message

    def test_refuses_a_key_without_name_or_of_another_kind(self, tmp_path: Path) -> None:
        saved = tmp_path / "key.pem"
        KEY.save(saved)
        nameless = "comment\n" + saved.read_text().split("\n", 1)[1]
        elliptic = generate_private_key(SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        for content in (nameless, "plaza-key: a\n" + elliptic.decode()):
            saved.write_text(content)
            with pytest.raises(BadKey, match="no named Ed25519"):
                SigningKey.load(saved)

    def test_load_or_create_gives_all_starters_one_key(self, tmp_path: Path) -> None:
        path = tmp_path / "key.pem"
        found: list[KeyId] = []
        barrier = threading.Barrier(8)

        def start() -> None:
            barrier.wait()
            found.append(SigningKey.load_or_create(path, "plaza.example/grants").key_id)

        threads = [threading.Thread(target=start) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8
        assert len(set(found)) == 1
        with pytest.raises(BadKey, match=r"not 'plaza\.example/ledger'"):
            SigningKey.load_or_create(path, "plaza.example/ledger")

    def test_does_not_show_the_private_key(self) -> None:
        assert repr(KEY) == f"SigningKey({KEY.key_id})"
        assert bytes(range(32)).hex() not in repr(KEY)

    def test_openssl_reads_the_file(self, tmp_path: Path) -> None:
        path = tmp_path / "key.pem"
        KEY.save(path)
        try:
            run = subprocess.run(
                ["openssl", "pkey", "-in", path, "-pubout"], capture_output=True, text=True, check=False
            )
        except FileNotFoundError:
            pytest.skip("no openssl program here")
        assert run.stdout in KEY.verifying_key.to_pem()
        assert run.stdout

    def test_generated_keys_differ(self) -> None:
        assert SigningKey.generate("a").key_id != SigningKey.generate("a").key_id

    def test_seed_has_32_bytes(self) -> None:
        with pytest.raises(BadKey, match="31 bytes"):
            SigningKey.from_seed("a", bytes(31))


class TestKeyRing:
    def test_finds_by_id(self) -> None:
        ring = KeyRing([KEY.verifying_key, OTHER.verifying_key, KEY.verifying_key])
        assert len(ring) == 2
        assert ring.find(KEY.key_id) == KEY.verifying_key
        assert ring.find(KeyId("plaza.example/grants+00000000")) is None

    def test_refuses_two_keys_with_one_id(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # A real collision of 32 bits takes minutes to find; the ring only compares ids.
        monkeypatch.setattr(VerifyingKey, "hash", property(lambda key: b"same"))
        with pytest.raises(BadKey, match="share the id"):
            KeyRing([KEY.verifying_key, OTHER.verifying_key])

    def test_loads_json(self, tmp_path: Path) -> None:
        path = tmp_path / "ring.json"
        path.write_text(KeyRing([KEY.verifying_key, OTHER.verifying_key]).to_json())
        assert list(KeyRing.load(path)) == [KEY.verifying_key, OTHER.verifying_key]

    def test_loads_pem(self, tmp_path: Path) -> None:
        path = tmp_path / "ring.pem"
        path.write_text(KEY.verifying_key.to_pem() + "\n" + OTHER.verifying_key.to_pem())
        assert list(KeyRing.load(path)) == [KEY.verifying_key, OTHER.verifying_key]

    @pytest.mark.parametrize(
        "content",
        [
            "",
            "rubbish",
            "{",
            "{}",
            '{"keys": []}',
            '{"keys": [1]}',
            '{"keys": "a"}',
            '{"keys": ["a+b+c"]}',
            json.dumps({"keys": [PUBLISHED_VKEY], "more": 1}),
            KEY.verifying_key.to_pem() + "trailing",
            KEY.verifying_key.to_pem().split("\n", 1)[1],
            KEY.verifying_key.to_pem().replace("grants", "gra nts"),
            "plaza-key: a\n-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        ],
    )
    def test_refuses_rubbish_naming_the_path(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / "ring"
        path.write_text(content)
        with pytest.raises(BadKey) as caught:
            KeyRing.load(path)
        assert str(path) in caught.value.message
        assert caught.value.remedy

    def test_refuses_other_kinds_of_keys_and_files(self, tmp_path: Path) -> None:
        elliptic = generate_private_key(SECP256R1()).public_key()
        pem = elliptic.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        path = tmp_path / "ring"
        path.write_text("plaza-key: a\n" + pem)
        with pytest.raises(BadKey, match="not an Ed25519 key"):
            KeyRing.load(path)
        path.write_bytes(b"\xff")
        with pytest.raises(BadKey, match="UTF-8"):
            KeyRing.load(path)
        with pytest.raises(KeyFileMissing):
            KeyRing.load(tmp_path / "none")


class TestBase64:
    @given(st.binary(max_size=80))
    def test_goes_both_ways(self, data: bytes) -> None:
        assert decode_base64(encode_base64(data)) == data

    @pytest.mark.parametrize(
        "text", ["A", "AA", "AAA", "AB==", "AAB=", "AA==\n", " AA==", "A-==", "ÄA==", "AA==AA=="]
    )
    def test_knows_one_spelling(self, text: str) -> None:
        with pytest.raises(ValueError, match="base64"):
            decode_base64(text)


class TestStatement:
    def test_says_what_was_signed(self) -> None:
        text = token(name="空气质量")
        assert verify(text) == claims(name="空气质量")
        header = json.loads(base64.urlsafe_b64decode(text.split(".")[0] + "=="))
        assert header == HEADER

    def test_holds_until_the_second_it_expires(self) -> None:
        text = token()
        verify(text, now=NOW + timedelta(seconds=59, microseconds=999_999))
        with pytest.raises(BadStatement) as caught:
            verify(text, now=NOW + timedelta(seconds=60))
        assert caught.value.failed == "exp"

    def test_forgives_a_clock_that_is_a_little_behind(self) -> None:
        verify(token(), now=NOW - timedelta(seconds=5))
        with pytest.raises(BadStatement) as caught:
            verify(token(), now=NOW - timedelta(seconds=6))
        assert caught.value.failed == "iat"

    def test_uses_the_clock_by_default(self) -> None:
        second = int(datetime.now(UTC).timestamp())
        text = sign_statement({"iat": second, "exp": second + 60}, typ=TYP, key=KEY)
        assert verify_statement(text, typ=TYP, keys=KEYS)["iat"] == second
        with pytest.raises(BadStatement):
            verify_statement(token(exp=SECOND + 1, iat=SECOND - 10**9), typ=TYP, keys=KEYS, now=None)

    def test_wants_a_moment_with_its_zone(self) -> None:
        with pytest.raises(ValueError, match="time zone"):
            verify(token(), now=datetime(2026, 11, 20))  # noqa: DTZ001

    @pytest.mark.parametrize(
        ("signed", "expected", "holds"),
        [
            ("sharing", "sharing", True),
            ("sharing", "quality", False),
            ("sharing", None, False),
            (None, "sharing", False),
            (["sharing", "quality"], "sharing", False),
        ],
    )
    def test_is_for_one_audience(self, signed: object, expected: str | None, holds: bool) -> None:
        text = token() if signed is None else token(aud=signed)
        if holds:
            assert verify(text, audience=expected)["aud"] == signed
        else:
            with pytest.raises(BadStatement) as caught:
                verify(text, audience=expected)
            assert caught.value.failed == "aud"

    @pytest.mark.parametrize(
        ("header", "failed"),
        [
            (HEADER | {"typ": "JWT"}, "typ"),
            (HEADER | {"alg": "EdDSA"}, "alg"),
            (HEADER | {"alg": "none"}, "alg"),
            (HEADER | {"alg": "HS256"}, "alg"),
            (HEADER | {"alg": ["Ed25519"]}, "alg"),
            (HEADER | {"kid": "nobody+00000000"}, "kid"),
            (HEADER | {"kid": 7}, "kid"),
            (HEADER | {"kid": OTHER.key_id}, "kid"),
            (HEADER | {"jwk": {}}, "format"),
            (HEADER | {"crit": ["b64"], "b64": False}, "format"),
            ({"alg": "Ed25519", "typ": TYP}, "format"),
            ({"typ": TYP, "kid": KEY.key_id}, "format"),
            (["alg", "typ", "kid"], "format"),
            ("alg", "format"),
            (3, "format"),
            (None, "format"),
        ],
    )
    def test_trusts_no_other_header(self, header: object, failed: str) -> None:
        with pytest.raises(BadStatement) as caught:
            verify(forge(header))
        assert caught.value.failed == failed

    def test_a_handmade_token_is_good_as_such(self) -> None:
        assert verify(forge(HEADER)) == claims()

    def test_unsigned_and_shared_secret_tokens_are_refused(self) -> None:
        head, body, _ = token().split(".")
        for text in (f"{head}.{body}.", f"{head}.{body}", f"{head}..{body}", ""):
            with pytest.raises(BadStatement):
                verify(text)

    def test_refuses_the_signature_of_another_key_under_this_name(self) -> None:
        with pytest.raises(BadStatement) as caught:
            verify(forge(HEADER, key=OTHER))
        assert caught.value.failed == "signature"

    def test_every_changed_character_is_noticed(self) -> None:
        text = token()
        for place, character in enumerate(text):
            changed = text[:place] + ("A" if character != "A" else "B") + text[place + 1 :]
            with pytest.raises(BadStatement):
                verify(changed)

    @given(st.text(max_size=60) | st.builds(lambda *p: ".".join(p), *[st.from_regex(r"[\w-]{0,40}")] * 3))
    def test_answers_rubbish_with_a_domain_error(self, text: str) -> None:
        with pytest.raises(BadStatement):
            verify(text)

    @given(st.recursive(st.none() | st.booleans() | st.text(max_size=4), st.lists, max_leaves=5))
    def test_answers_strange_headers_with_a_domain_error(self, header: object) -> None:
        with pytest.raises(BadStatement):
            verify(forge(header))

    @pytest.mark.parametrize(
        "payload",
        [
            b"",
            b"[]",
            b"null",
            b"\xff",
            b"{}",
            b'{"iat": 1}',
            b'{"iat": "1", "exp": 2e10}',
            b'{"iat": 1, "exp": NaN}',
            b'{"iat": 1, "exp": true}',
            b'{"iat": 1, "exp": 1' + b"0" * 400 + b"}",
            b'{"iat": -1, "exp": 99999999999}',
            b'{"iat": 1799999999, "exp": 1799999999}',
            b"[" * 5000,
        ],
    )
    def test_refuses_signed_rubbish(self, payload: bytes) -> None:
        with pytest.raises(BadStatement) as caught:
            verify(forge(HEADER, payload))
        assert caught.value.failed == "claims"

    @pytest.mark.parametrize(
        "change",
        [
            {"iat": None},
            {"exp": None},
            {"exp": SECOND},
            {"exp": SECOND + 0.5},
            {"exp": True},
            {"iat": -1},
            {"exp": 1 << 53},
            {"x": float("nan")},
            {"x": object()},
            {"x": "\ud800"},
            {"x": "a" * 800_000},
        ],
    )
    def test_does_not_sign_what_would_not_verify(self, change: dict[str, Any]) -> None:
        with pytest.raises(UnsignableStatement):
            token(**change)

    def test_carries_a_large_bundle(self) -> None:
        text = "政" * 200_000
        assert verify(token(x=text))["x"] == text

    def test_error_maps_to_permission_denied_with_facts(self) -> None:
        with pytest.raises(BadStatement) as caught:
            verify(token(), typ="other")
        assert caught.value.code is grpc.StatusCode.PERMISSION_DENIED
        assert caught.value.reason == "BAD_STATEMENT"
        assert caught.value.facts == {"failed": "typ"}
        assert caught.value.remedy
