"""The command line against a gateway and an issuer that live in this process: no socket is opened."""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from plaza_cli.main import app
from plaza_cli.session import Session
from plaza_cli.surroundings import Surroundings
from plaza_kit.signing import SigningKey
from plaza_kit.tlog.checkpoint import Checkpoint, sign_checkpoint
from plaza_kit.tlog.leaf import canonical_json
from plaza_kit.tlog.merkle import NodeId, NodeMap, leaf_hash, nodes_to_store, root_hash
from plaza_kit.tlog.proof import make_file_proof, proof_path
from typer.testing import CliRunner

if TYPE_CHECKING:
    from conftest import City

URL = "http://plaza.example:8080"
ISSUER = "http://issuer.example/realms/plaza"
KEY = SigningKey.from_seed("plaza.example/ledger", bytes(range(32)))
OTHER = SigningKey.from_seed("plaza.example/ledger", bytes(range(1, 33)))
DATASET = {
    "name": "departments/ecology/datasets/air-quality",
    "displayName": "空气质量[小时值]",
    "cityLevel": "CITY_LEVEL_PUBLIC",
    "sharing": {"class": "SHARING_CLASS_NOT_SHARED"},
    "contract": {
        "fields": [{"name": "station", "type": "FIELD_TYPE_STRING", "required": True}],
        "key": ["station"],
    },
    "latestVersion": {"version": 2, "rows": "280512", "light": "LIGHT_GREEN", "score": 97.5},
}


def tokens(number: int) -> dict[str, Any]:
    return {"access_token": f"access-{number}", "refresh_token": f"refresh-{number}", "expires_in": 300}


class TestLogin:
    def test_password(self, city: City) -> None:
        result = city.run("login", "--user", "ecology-officer", "--password-stdin", stdin="pass word\n")
        assert result.exit_code == 0, result.output
        assert "王敏" in result.stdout
        [form] = city.forms()
        assert form["password"] == "pass word"
        assert form["scope"] == "openid organization:*"
        assert city.sessions.pinned(URL) == (KEY.verifying_key.vkey,)
        assert city.asked("/api/v1/ledger:keys")[0].headers.get("authorization") is None

    def test_files_are_for_the_owner_alone(self, city: City, tmp_path: Path) -> None:
        city.run("login", "--user", "u", "--password-stdin", stdin="p\n")
        [path] = (tmp_path / "config" / "sessions").glob("*.json")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) & 0o077 == 0

    def test_wrong_password(self, city: City) -> None:
        refusal = {"error": "invalid_grant", "error_description": "Invalid user credentials"}
        city.answer("POST /realms/plaza/token", refusal, status=401)
        result = city.run("login", "--user", "u", "--password-stdin", stdin="p\n")
        assert result.exit_code == 1
        assert "Invalid user credentials" in result.stderr
        assert city.sessions.load(URL) is None

    def test_browser(self, city: City) -> None:
        device = {
            "user_code": "ABCD-EFGH",
            "verification_uri": "http://issuer.example/device",
            "device_code": "d",
        }
        city.answer("POST /realms/plaza/device", {**device, "interval": 2, "expires_in": 60})
        waiting = [{"error": "authorization_pending"}, {"error": "slow_down"}]

        def token(request: httpx.Request) -> httpx.Response:
            return (
                httpx.Response(400, json=waiting.pop(0)) if waiting else httpx.Response(200, json=tokens(1))
            )

        city.routes["POST /realms/plaza/token"] = token
        result = city.run("--json", "login")
        assert result.exit_code == 0, result.output
        assert "ABCD-EFGH" in result.stderr
        assert json.loads(result.stdout)["caller"]["displayName"] == "王敏"
        assert city.slept == [2, 2, 7]

    def test_code_expires(self, city: City) -> None:
        device = {"user_code": "A", "verification_uri": "u", "device_code": "d", "expires_in": 9}
        city.answer("POST /realms/plaza/device", device)
        city.answer("POST /realms/plaza/token", {"error": "authorization_pending"}, status=400)
        result = city.run("login")
        assert (result.exit_code, len(city.slept)) == (1, 2)

    def test_issuer_of_another_name_is_refused(self, city: City) -> None:
        city.answer("GET /realms/plaza/.well-known/openid-configuration", {"issuer": "http://evil.example"})
        assert city.run("login", "--user", "u", "--password-stdin", stdin="p\n").exit_code == 1
        assert not city.forms()

    def test_new_ledger_key_is_said(self, city: City) -> None:
        city.sessions.pin(URL, [OTHER.verifying_key.vkey])
        result = city.run("login", "--user", "u", "--password-stdin", stdin="p\n")
        assert "new key" in result.stderr
        assert city.sessions.pinned(URL) == (OTHER.verifying_key.vkey, KEY.verifying_key.vkey)

    def test_ledger_without_answer_does_not_stop_the_log_in(self, city: City) -> None:
        del city.routes["GET /api/v1/ledger:keys"]
        result = city.run("login", "--user", "u", "--password-stdin", stdin="p\n")
        assert result.exit_code == 0
        assert "No ledger key was pinned" in result.stderr

    def test_password_without_user(self, city: City) -> None:
        assert city.run("login", "--password-stdin", stdin="p\n").exit_code == 2

    def test_logout_tells_the_issuer(self, city: City) -> None:
        city.logged_in()
        assert city.run("logout").exit_code == 0
        assert city.sessions.load(URL) is None
        assert b"refresh-1" in city.asked("/realms/plaza/revoke")[0].content
        assert city.run("whoami").exit_code == 3


class TestSession:
    def test_renewed_before_the_end(self, city: City) -> None:
        city.logged_in(expires_in=10)
        city.valid = {"access-2"}
        city.answer("POST /realms/plaza/token", tokens(2))
        assert city.run("whoami").exit_code == 0
        assert [form["refresh_token"] for form in city.forms()] == ["refresh-1"]
        kept = city.sessions.load(URL)
        assert kept is not None
        assert kept.refresh_token == "refresh-2"

    def test_renewed_once_when_refused(self, city: City) -> None:
        city.logged_in()
        city.valid = set()
        city.answer("POST /realms/plaza/token", tokens(2))
        assert city.run("whoami").exit_code == 3
        assert len(city.forms()) == 1

    def test_renewal_of_another_process_is_used(self, city: City) -> None:
        city.logged_in()
        city.valid = {"access-9"}

        def caller(request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, json={"username": "u"})

        original = city.__call__

        def racing(request: httpx.Request) -> httpx.Response:
            answer = original(request)
            if answer.status_code == 401:
                city.sessions.save(
                    Session(URL, ISSUER, "plaza-cli", "access-9", "refresh-9", city.time + 300)
                )
            return answer

        city.routes["GET /api/v1/caller"] = caller
        around = Surroundings(
            connect=lambda url: httpx.Client(transport=httpx.MockTransport(racing)), now=lambda: city.time
        )
        result = CliRunner().invoke(app, ["whoami", "--url", URL], obj=around)
        assert result.exit_code == 0, result.output
        assert not city.forms()

    def test_ended_session_is_forgotten(self, city: City) -> None:
        city.logged_in(expires_in=-1)
        city.answer("POST /realms/plaza/token", {"error": "invalid_grant"}, status=400)
        result = city.run("whoami")
        assert result.exit_code == 3
        assert "login" in result.stderr
        assert city.sessions.load(URL) is None

    def test_tokens_are_in_no_repr(self) -> None:
        assert "secret" not in repr(Session(URL, ISSUER, "c", "secret-a", "secret-r", 1.0))

    def test_no_token_goes_to_another_plaza(self, city: City) -> None:
        city.logged_in()
        assert city.run("whoami", "--url", "http://other.example").exit_code == 3
        assert not city.requests


class TestDatasets:
    @pytest.fixture(autouse=True)
    def _logged_in(self, city: City) -> None:
        city.logged_in()

    def test_register(self, city: City, tmp_path: Path) -> None:
        file = tmp_path / "air.yaml"
        file.write_text("name: 空气质量\n", encoding="utf-8")
        parsed = {"contract": {"fields": [{"name": "station"}]}, "title": "空气质量", "description": "小时值"}
        city.answer("POST /api/v1/contracts:parse", parsed)
        city.answer("POST /api/v1/departments/ecology/datasets", DATASET)
        result = city.run(
            *("dataset", "register", "ecology/air-quality", "--contract", str(file), "--grade", "public"),
            *("--sharing-class", "not-shared", "--keyword", "空气", "--keyword", "air"),
            *("--update-cycle", "real-time", "--licence", "CC-BY-4.0"),
        )
        assert result.exit_code == 0, result.output
        assert json.loads(city.asked("/api/v1/contracts:parse")[0].content) == {
            "document": "name: 空气质量\n"
        }
        [sent] = city.asked("/api/v1/departments/ecology/datasets")
        assert dict(sent.url.params) == {"datasetId": "air-quality"}
        assert json.loads(sent.content) == {
            "displayName": "空气质量",
            "description": "小时值",
            "contract": {"fields": [{"name": "station"}]},
            "cityLevel": "CITY_LEVEL_PUBLIC",
            "sharing": {"class": "SHARING_CLASS_NOT_SHARED"},
            "updateCycle": "UPDATE_CYCLE_REAL_TIME",
            "licence": "CC-BY-4.0",
            "keywords": ["空气", "air"],
        }

    def test_problem_is_shown_with_place_and_remedy(self, city: City, tmp_path: Path) -> None:
        file = tmp_path / "air.yaml"
        file.write_text("name: a\n")
        problem = {
            "title": "Bad Request",
            "detail": "field [red]pm2_5[/red] has no type",
            "reason": "BAD_CONTRACT",
            "remedy": "Give logicalType.",
            "errors": [{"in": "body", "pointer": "#/document", "detail": "schema[0].properties[3]"}],
        }
        city.answer("POST /api/v1/contracts:parse", problem, status=400)
        words = ("dataset", "register", "ecology/a", "--contract", str(file), "--grade", "public")
        result = city.run(*words, "--sharing-class", "conditional")
        assert (result.exit_code, result.stdout) == (1, "")
        for text in (
            "field [red]pm2_5[/red] has no type",
            "body #/document: schema[0].properties[3]",
            "Give logicalType.",
        ):
            assert text in result.stderr
        told = json.loads(city.run(*words, "--sharing-class", "conditional", "--json").stderr)
        assert (told["reason"], told["status"], told["exitCode"]) == ("BAD_CONTRACT", 400, 1)

    def test_list_follows_pages(self, city: City) -> None:
        second = {**DATASET, "name": "departments/transport/datasets/buses"}
        city.answer(
            "GET /api/v1/departments/-/datasets",
            {"datasets": [DATASET], "nextPageToken": "2"},
            {"datasets": [second]},
        )
        result = city.run("dataset", "list", "--json")
        assert [one["name"] for one in json.loads(result.stdout)] == [DATASET["name"], second["name"]]
        assert "空气质量" in result.stdout
        assert city.requests[-1].url.params["pageToken"] == "2"

    def test_page_that_names_itself_ends(self, city: City) -> None:
        city.answer("GET /api/v1/departments", {"departments": [], "nextPageToken": "x"})
        assert city.run("department", "list").exit_code == 1

    def test_table(self, city: City) -> None:
        city.answer("GET /api/v1/departments/ecology/datasets", {"datasets": [DATASET]})
        line = city.run("dataset", "list", "--department", "ecology").stdout.splitlines()[-1]
        assert line.split() == [
            "ecology/air-quality",
            "空气质量[小时值]",
            "public",
            "not-shared",
            "280,512",
            "97.5",
            "green",
        ]

    def test_search_sends_the_words(self, city: City) -> None:
        city.answer("GET /api/v1/datasets:search", {"datasets": [DATASET, DATASET]})
        result = city.run("dataset", "search", "空气", "质量", "--limit", "1", "--json")
        assert len(json.loads(result.stdout)) == 1
        assert city.requests[-1].url.params["query"] == "空气 质量"

    def test_show_keeps_the_terminal_safe(self, city: City) -> None:
        hostile = {**DATASET, "description": "\x1b]0;title\x07[bold]x[/bold]"}
        city.answer("GET /api/v1/departments/ecology/datasets/air-quality", hostile)
        shown = city.run("dataset", "show", "ecology/air-quality").stdout
        assert "\x1b" not in shown
        assert "[bold]x[/bold]" in shown
        assert "280,512" in shown

    def test_versions(self, city: City) -> None:
        path = "GET /api/v1/departments/ecology/datasets/air-quality/versions"
        city.answer(
            path, {"versions": [{"version": 1, "rows": "35064", "rowsAdded": "35064", "rowsRefused": "20"}]}
        )
        assert "35,064" in city.run("dataset", "versions", "ecology/air-quality").stdout

    def test_an_expired_version_says_why(self, city: City) -> None:
        gone = {
            "version": 1,
            "state": "VERSION_STATE_EXPIRED",
            "expireTime": "2026-11-21T08:00:00Z",
            "expireRule": "newest 20",
        }
        there = {"version": 2, "state": "VERSION_STATE_COMMITTED"}
        city.answer(
            "GET /api/v1/departments/ecology/datasets/air-quality/versions", {"versions": [there, gone]}
        )
        told = city.run("dataset", "versions", "ecology/air-quality").stdout
        assert "committed" in told
        assert "expired 2026-11-21" in told
        assert "newest 20" in told

    def test_contract_is_written_as_it_is(self, city: City) -> None:
        text = "apiVersion: v3.1.0\nname: 空气质量 [x]\n"
        city.routes["GET /api/v1/departments/ecology/datasets/air-quality:exportContract"] = lambda request: (
            httpx.Response(200, content=text.encode())
        )
        assert city.run("dataset", "contract", "ecology/air-quality").stdout == text
        assert json.loads(city.run("dataset", "contract", "ecology/air-quality", "--json").stdout) == {
            "document": text
        }

    @pytest.mark.parametrize("name", ["air-quality", "ecology/../x", "Ecology/air", "a/b/c", "a/b?x"])
    def test_name_that_is_none(self, city: City, name: str) -> None:
        assert city.run("dataset", "show", name).exit_code == 2
        assert not city.requests

    def test_not_reachable(self, city: City) -> None:
        def silent(request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("refused", request=request)

        city.routes["GET /api/v1/caller"] = silent
        result = city.run("whoami")
        assert result.exit_code == 4
        assert URL in result.stderr

    def test_ctrl_c(self, city: City) -> None:
        def interrupted(request: httpx.Request) -> httpx.Response:
            raise KeyboardInterrupt

        city.routes["GET /api/v1/caller"] = interrupted
        assert city.run("whoami").exit_code == 130

    def test_bad_address(self, city: City) -> None:
        assert city.run("whoami", "--url", "plaza.example").exit_code == 2


class TestVerify:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        path = tmp_path / "air.csv"
        path.write_bytes("station,pm2_5\n万寿西宫,42\n".encode())
        event = {
            "type": "city.plaza.opendata.release.published.v1",
            "subject": "departments/ecology/datasets/air-quality/releases/1",
            "time": "2026-11-20T08:00:00Z",
            "data": {"file_name": "air.csv", "sha256": hashlib.sha256(path.read_bytes()).hexdigest()},
        }
        leaves = [canonical_json({"n": 0}), canonical_json(event)]
        hashes = [leaf_hash(leaf.encode()) for leaf in leaves]
        base = {NodeId(0, i): value for i, value in enumerate(hashes)}
        reader = NodeMap(base | nodes_to_store(0, hashes, NodeMap({})))
        note = sign_checkpoint(Checkpoint(KEY.name, 2, root_hash(2, reader)), KEY)
        proof_path(path).write_text(
            make_file_proof(leaves[1], 1, 2, reader, note).to_json(), encoding="utf-8"
        )
        return path

    def test_pinned_key_and_no_server(self, city: City, file: Path) -> None:
        city.sessions.pin(URL, [KEY.verifying_key.vkey])
        result = city.run("verify", str(file), "--json")
        assert result.exit_code == 0, result.output
        told = json.loads(result.stdout)
        assert (told["verified"], told["leafIndex"], told["treeSize"]) == (True, 1, 2)
        assert not city.requests
        assert "Verified" in city.run("verify", str(file)).stdout

    def test_given_key(self, city: City, file: Path) -> None:
        assert city.run("verify", str(file), "--key", KEY.verifying_key.vkey).exit_code == 0
        assert city.run("verify", str(file), "--key", OTHER.verifying_key.vkey).exit_code == 5
        assert city.run("verify", str(file), "--key", "nonsense").exit_code == 2

    def test_changed_file(self, city: City, file: Path) -> None:
        file.write_bytes(file.read_bytes() + b"x")
        result = city.run("verify", str(file), "--key", KEY.verifying_key.vkey)
        assert result.exit_code == 5
        assert "SHA-256" in result.stderr
        assert "remedy" in result.stderr

    def test_changed_proof(self, city: City, file: Path) -> None:
        proof_path(file).write_bytes(b"\xff")
        assert city.run("verify", str(file), "--key", KEY.verifying_key.vkey).exit_code == 5

    def test_without_key_or_proof(self, city: City, file: Path) -> None:
        assert city.run("verify", str(file)).exit_code == 3
        assert (
            city.run("verify", str(file), "--key", KEY.verifying_key.vkey, "--proof", "nowhere").exit_code
            == 2
        )
        assert city.run("verify", str(file.with_name("none.csv"))).exit_code == 2

    def test_keys_of_one_plaza_are_not_those_of_another(self, city: City, file: Path) -> None:
        city.sessions.pin("http://other.example", [KEY.verifying_key.vkey])
        assert city.run("verify", str(file)).exit_code == 3


def test_help_names_the_exit_codes(city: City) -> None:
    shown = city.run("--help").stdout
    for line in ("0    done", "3    not logged in", "5    verification failed"):
        assert line in shown
