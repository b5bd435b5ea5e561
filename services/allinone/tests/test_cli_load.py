"""`plaza ingest`, `plaza run`, `plaza quarantine`, `plaza dataset infer`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import httpx
import pytest
from plaza_cli.run import seconds_as_words

if TYPE_CHECKING:
    from conftest import City

RUN = "departments/ecology/runs/019a0000-0000-7000-8000-000000000001"
SHORT = "ecology/019a0000-0000-7000-8000-000000000001"
RUN_ID = RUN.rpartition("/")[2]
DATASET = "departments/ecology/datasets/air-quality"
UPLOAD = "departments/ecology/uploads/019a0000-0000-7000-8000-0000000000aa"
RUNNING = {
    "name": RUN,
    "kind": "RUN_KIND_LOAD",
    "state": "RUN_STATE_RUNNING",
    "dataset": DATASET,
    "fileName": "air.csv",
    "progress": {"bytesDone": "1000", "bytesTotal": "4000", "rowsRead": "100"},
}
DONE = {
    **RUNNING,
    "state": "RUN_STATE_SUCCEEDED",
    "progress": {"rowsRead": "35064", "rowsAccepted": "35044", "rowsRefused": "20"},
    "refusedByReason": {"type": "17", "ragged": "3"},
    "version": 3,
    "createTime": "2026-11-20T08:00:00Z",
    "endTime": "2026-11-20T08:00:09.5Z",
    "warnings": ["the column `remark` is not in the contract"],
}
FAILED = {
    **RUNNING,
    "state": "RUN_STATE_FAILED",
    "error": {"reason": "NO_HEADING", "message": "air.csv has no heading", "remedy": "Add one."},
    "endTime": "2026-11-20T08:00:09Z",
}
ALREADY = {
    "status": 409,
    "reason": "ALREADY_INGESTED",
    "detail": "this file was loaded",
    "facts": {"run": RUN, "version": "3"},
}


def lines(*documents: dict[str, Any]) -> list[bytes | Exception]:
    return [json.dumps(one, ensure_ascii=False).encode() + b"\n" for one in documents]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "空气 1.csv"
    path.write_bytes(b"station,pm2_5\n" + b"Dongsi,42\n" * 60_000)
    return path


@pytest.fixture(autouse=True)
def _gateway(city: City) -> None:
    city.logged_in()
    city.answer("POST /api/v1/departments/ecology/uploads", {"name": UPLOAD})
    city.answer(f"POST /api/v1/{DATASET}:ingest", {**RUNNING, "state": "RUN_STATE_QUEUED"})
    city.stream(f"GET /api/v1/{RUN}:watch", lines(RUNNING, DONE))
    city.answer(f"GET /api/v1/{RUN}", DONE)


class TestIngest:
    def test_waits_and_tells(self, city: City, file: Path) -> None:
        result = city.run("ingest", "ecology/air-quality", str(file), "--wait")
        assert result.exit_code == 0, result.output
        assert "version 3, 35,044 rows added, 20 (ragged 3, type 17) refused" in result.stdout
        assert "remark" in result.stderr
        assert f"plaza quarantine list ecology/air-quality --run {SHORT}" in result.stderr
        [sent] = city.asked("/api/v1/departments/ecology/uploads")
        assert sent.content == file.read_bytes()
        assert sent.headers["content-length"] == str(file.stat().st_size)
        assert sent.headers["content-type"] == "application/octet-stream"
        assert "transfer-encoding" not in sent.headers
        assert sent.url.params["fileName"] == "空气 1.csv"
        assert city.sent(f"/api/v1/{DATASET}:ingest") == {"upload": UPLOAD}

    def test_without_waiting(self, city: City, file: Path) -> None:
        result = city.run("ingest", "ecology/air-quality", str(file))
        assert f"plaza run show {SHORT} --wait" in result.stdout
        assert not city.asked(f"/api/v1/{RUN}:watch")

    def test_json(self, city: City, file: Path) -> None:
        [told] = json.loads(city.run("ingest", "ecology/air-quality", str(file), "--wait", "--json").stdout)
        assert (told["alreadyIngested"], told["version"], told["run"]) == (False, 3, DONE)

    def test_already_ingested(self, city: City, file: Path) -> None:
        city.answer(f"POST /api/v1/{DATASET}:ingest", ALREADY, status=409)
        result = city.run("ingest", "ecology/air-quality", str(file), "--wait")
        assert result.exit_code == 0, result.output
        assert "already ingested as version 3" in result.stdout
        result = city.run("ingest", "ecology/air-quality", str(file), "--json")
        [told] = json.loads(result.stdout)
        assert (result.exit_code, told["alreadyIngested"], told["version"]) == (0, True, 3)

    def test_first_load_still_on_its_way_is_waited_for(self, city: City, file: Path) -> None:
        city.answer(f"POST /api/v1/{DATASET}:ingest", {**ALREADY, "facts": {"run": RUN}}, status=409)
        result = city.run("ingest", "ecology/air-quality", str(file), "--wait")
        assert (result.exit_code, "already ingested as version 3" in result.stdout) == (0, True)

    def test_other_conflicts_are_failures(self, city: City, file: Path) -> None:
        city.answer(
            f"POST /api/v1/{DATASET}:ingest",
            {"status": 409, "reason": "DATASET_RETIRED", "detail": "it is retired"},
            status=409,
        )
        result = city.run("ingest", "ecology/air-quality", str(file))
        assert (result.exit_code, "it is retired" in result.stderr) == (1, True)

    def test_mode(self, city: City, file: Path) -> None:
        city.run("ingest", "ecology/air-quality", str(file), "--mode", "upsert")
        assert city.sent(f"/api/v1/{DATASET}:ingest")["mode"] == "LOAD_MODE_UPSERT"
        city.run("ingest", "ecology/air-quality", str(file))
        assert "mode" not in city.sent(f"/api/v1/{DATASET}:ingest")
        assert city.run("ingest", "ecology/air-quality", str(file), "--mode", "merge").exit_code == 2

    def test_one_file_of_an_archive(self, city: City, file: Path) -> None:
        city.run("ingest", "ecology/air-quality", str(file), "--entry", "d/a.csv")
        assert city.sent(f"/api/v1/{DATASET}:ingest")["entry"] == "d/a.csv"

    def test_reload(self, city: City, file: Path) -> None:
        city.run("ingest", "ecology/air-quality", str(file), "--reload", "repaired")
        assert city.sent(f"/api/v1/{DATASET}:ingest")["reloadReason"] == "repaired"

    def test_one_failing_file_does_not_hide_the_others(self, city: City, file: Path, tmp_path: Path) -> None:
        words = ("ingest", "ecology/air-quality", str(tmp_path / "none.csv"), str(file), "--wait")
        result = city.run(*words)
        assert result.exit_code == 1
        assert "version 3" in result.stdout
        assert "none.csv cannot be read" in result.stderr
        assert "1 file of 2 failed" in result.stderr
        first, second = json.loads(city.run(*words, "--json").stdout)
        assert ("error" in first, second["version"]) == (True, 3)

    def test_failed_run(self, city: City, file: Path) -> None:
        city.stream(f"GET /api/v1/{RUN}:watch", lines(RUNNING, FAILED))
        result = city.run("ingest", "ecology/air-quality", str(file), "--wait")
        assert result.exit_code == 1
        for text in ("air.csv has no heading", "Add one."):
            assert text in result.stderr

    def test_refused_upload(self, city: City, file: Path) -> None:
        problem = {"status": 403, "detail": "not your department", "remedy": "Ask its data officer."}
        city.answer("POST /api/v1/departments/ecology/uploads", problem, status=403)
        result = city.run("ingest", "ecology/air-quality", str(file))
        assert (result.exit_code, "Ask its data officer." in result.stderr) == (1, True)

    def test_file_that_changes_meanwhile(self, city: City, file: Path) -> None:
        # Between the look at its size and the sending of its bytes.
        city.logged_in(expires_in=10)
        city.valid = {"access-2"}
        token = {"access_token": "access-2", "refresh_token": "refresh-2", "expires_in": 300}

        def renew(request: httpx.Request) -> httpx.Response:
            with file.open("ab") as stream:
                stream.write(b"more\n")
            return httpx.Response(200, json=token)

        city.routes["POST /realms/plaza/token"] = renew
        result = city.run("ingest", "ecology/air-quality", str(file))
        assert (result.exit_code, "changed while it was read" in result.stderr) == (2, True)
        assert not city.asked(f"/api/v1/{DATASET}:ingest")

    def test_session_renewed_sends_the_whole_file_again(self, city: City, file: Path) -> None:
        city.valid = {"access-2"}
        token = {"access_token": "access-2", "refresh_token": "refresh-2", "expires_in": 300}
        city.answer("POST /realms/plaza/token", token)
        assert city.run("ingest", "ecology/air-quality", str(file)).exit_code == 0
        assert city.asked("/api/v1/departments/ecology/uploads")[-1].content == file.read_bytes()

    def test_not_logged_in_stops_at_the_first(self, city: City, file: Path) -> None:
        city.run("logout")
        assert city.run("ingest", "ecology/air-quality", str(file), str(file)).exit_code == 3

    def test_broken_stream_is_opened_again(self, city: City, file: Path) -> None:
        city.stream(
            f"GET /api/v1/{RUN}:watch",
            [*lines(RUNNING), httpx.ReadError("gone")],
            [b'{"name": "departm'],
            lines({"error": {"status": 503, "detail": "restarting"}}),
            lines(DONE),
        )
        result = city.run("ingest", "ecology/air-quality", str(file), "--wait")
        assert (result.exit_code, "version 3" in result.stdout) == (0, True)
        assert city.slept == [1, 2, 3]

    def test_silence_ends(self, city: City, file: Path) -> None:
        city.stream(f"GET /api/v1/{RUN}:watch", [httpx.ReadError("gone")])
        result = city.run("ingest", "ecology/air-quality", str(file), "--wait")
        assert result.exit_code == 1
        assert f"plaza run show {SHORT}" in result.stderr
        assert len(city.slept) == 5

    def test_refusal_in_the_stream_is_not_asked_again(self, city: City, file: Path) -> None:
        city.stream(f"GET /api/v1/{RUN}:watch", lines({"error": {"status": 403, "detail": "no longer"}}))
        result = city.run("ingest", "ecology/air-quality", str(file), "--wait")
        assert (result.exit_code, "no longer" in result.stderr, city.slept) == (1, True, [])

    def test_ctrl_c_while_waiting(self, city: City, file: Path) -> None:
        def interrupted(request: httpx.Request) -> httpx.Response:
            raise KeyboardInterrupt

        city.routes[f"GET /api/v1/{RUN}:watch"] = interrupted
        result = city.run("ingest", "ecology/air-quality", str(file), "--wait")
        assert (result.exit_code, "The run goes on" in result.stderr) == (130, True)
        assert SHORT in result.stderr

    def test_ctrl_c_while_uploading(self, city: City, file: Path) -> None:
        def interrupted(request: httpx.Request) -> httpx.Response:
            raise KeyboardInterrupt

        city.routes["POST /api/v1/departments/ecology/uploads"] = interrupted
        result = city.run("ingest", "ecology/air-quality", str(file), "--wait")
        assert (result.exit_code, "nothing of it was kept" in result.stderr) == (130, True)
        assert not city.asked(f"/api/v1/{DATASET}:ingest")


class TestRun:
    def test_list(self, city: City) -> None:
        city.answer("GET /api/v1/departments/ecology/runs", {"runs": [DONE]})
        city.answer("GET /api/v1/caller", {"departments": ["departments/ecology"]})
        line = city.run("run", "list").stdout.splitlines()[-1]
        for text in (SHORT, "load", "succeeded", "ecology/air-quality", "35,044", "20"):
            assert text in line
        city.run("run", "list", "--dataset", "ecology/air-quality")
        assert city.requests[-1].url.params["dataset"] == DATASET

    def test_several_departments_must_be_named(self, city: City) -> None:
        city.answer("GET /api/v1/caller", {"departments": ["departments/health", "departments/ecology"]})
        result = city.run("run", "list")
        assert (result.exit_code, "ecology, health" in result.stderr) == (2, True)
        city.answer("GET /api/v1/caller", {})
        assert city.run("run", "list").exit_code == 2

    @pytest.mark.parametrize("name", [RUN, SHORT])
    def test_show(self, city: City, name: str) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TZ", "Asia/Shanghai")
            time.tzset()
            shown = city.run("run", "show", name).stdout
        time.tzset()
        for text in ("succeeded", "20 (ragged 3, type 17)", "35,044", "remark", "2026-11-20 16:00:09+08:00"):
            assert text in shown
        assert json.loads(city.run("run", "show", name, "--json").stdout) == DONE

    def test_show_what_quality_found(self, city: City) -> None:
        rule = {"id": "sane", "title": "合理", "failed": "9", "judged": "50"}
        found = {
            "score": "82",
            "light": "red",
            "failedRules": [rule, {"id": "ok", "failed": "1", "judged": "50", "met": True}],
            "workOrders": ["departments/ecology/workOrders/1"],
            "stoppedOpening": ["sane"],
        }
        city.answer(f"GET /api/v1/{RUN}", DONE | {"assessment": found})
        shown = [" ".join(line.split()) for line in city.run("run", "show", SHORT).stdout.splitlines()]
        for line in (
            "quality 82 red",
            "rule sane (合理): 9 of 50 fail, not met",
            "rule ok: 1 of 50 fail",
            "work order departments/ecology/workOrders/1",
            "not opened because of sane",
        ):
            assert line in shown

    def test_show_and_wait(self, city: City) -> None:
        city.answer(f"GET /api/v1/{RUN}", RUNNING)
        city.stream(f"GET /api/v1/{RUN}:watch", lines(FAILED))
        result = city.run("run", "show", SHORT, "--wait")
        assert (result.exit_code, "failed" in result.stdout) == (1, True)

    def test_name_that_is_none(self, city: City) -> None:
        assert city.run("run", "show", "ecology/1").exit_code == 2

    def test_cancel(self, city: City) -> None:
        city.answer(f"POST /api/v1/{RUN}:cancel", {"name": RUN, "state": "RUN_STATE_CANCELLED"})
        assert city.run("run", "cancel", SHORT).stdout == f"run {SHORT}: cancelled\n"
        assert json.loads(city.run("run", "cancel", RUN, "--json").stdout)["state"] == "RUN_STATE_CANCELLED"

    @pytest.mark.parametrize(
        ("seconds", "words"), [(0.4, "0.4 s"), (12.2, "12 s"), (185, "3 min 5 s"), (7440, "2 h 4 min")]
    )
    def test_seconds_as_words(self, seconds: float, words: str) -> None:
        assert seconds_as_words(seconds) == words

    def test_pace_while_it_runs(self, city: City) -> None:
        going = {**RUNNING, "rate": 1234.5, "remainingSeconds": "90", "mode": "LOAD_MODE_UPSERT"}
        city.answer(f"GET /api/v1/{RUN}", going)
        shown = city.run("run", "show", SHORT).stdout
        for text in ("1,234", "1 min 30 s", "upsert"):
            assert text in shown


class TestQuarantine:
    ROWS = (
        {"fileName": "a.csv", "line": "7", "field": "month", "reason": "step", "detail": "month 13",
         "originalText": "x,13\r\n"},
        {"fileName": "a.csv", "line": "12345", "reason": "ragged", "originalText": "\x1b[2Jx\n"},
    )  # fmt: skip

    def test_list(self, city: City) -> None:
        city.answer(f"GET /api/v1/{DATASET}/quarantine", {"rows": self.ROWS, "totalSize": "1234"})
        result = city.run("quarantine", "list", "ecology/air-quality", "--run", SHORT, "--limit", "2")
        for text in ("month 13", "x,13", "12,345", "ragged"):
            assert text in result.stdout
        assert "\x1b" not in result.stdout
        assert "2 of 1,234 refused rows" in result.stderr
        assert dict(city.requests[-1].url.params) == {"pageSize": "2", "run": RUN}
        told = json.loads(city.run("quarantine", "list", "ecology/air-quality", "--json").stdout)
        assert told == list(self.ROWS)

    def test_export_is_byte_for_byte(self, city: City, tmp_path: Path) -> None:
        exact = b"\xff\xfe,1\r\nlast without end"
        city.stream(f"GET /api/v1/{DATASET}/quarantine:export", [exact[:3], exact[3:]])
        assert city.run("quarantine", "export", "ecology/air-quality").stdout_bytes == exact
        target = tmp_path / "refused.csv"
        result = city.run("quarantine", "export", "ecology/air-quality", "--output", str(target), "--json")
        assert json.loads(result.stdout)["sizeBytes"] == len(exact)
        assert target.read_bytes() == exact
        assert city.run("quarantine", "export", "ecology/air-quality", "--json").exit_code == 2

    def test_export_for_repair(self, city: City, tmp_path: Path) -> None:
        city.stream(f"GET /api/v1/{DATASET}/quarantine:export", [b"plaza_row\r\n"])
        target = str(tmp_path / "repair.csv")
        city.run("quarantine", "export", "ecology/air-quality", "--repair", "--output", target)
        assert dict(city.requests[-1].url.params) == {"form": "EXPORT_FORM_REPAIR"}

    def test_list_of_one_state_names_rows_so_that_they_can_be_discarded(self, city: City) -> None:
        short = f"ecology/air-quality/{RUN_ID}-7"
        row = {**self.ROWS[0], "name": f"{DATASET}/quarantine/{RUN_ID}-7", "state": "QUARANTINE_STATE_HELD"}
        city.answer(f"GET /api/v1/{DATASET}/quarantine", {"rows": [row], "totalSize": "1"})
        told = city.run("quarantine", "list", "ecology/air-quality", "--state", "held").stdout
        assert (f"{RUN_ID}-7" in told, "held" in told) == (True, True)
        assert dict(city.requests[-1].url.params)["state"] == "QUARANTINE_STATE_HELD"
        discarded = {**row, "state": "QUARANTINE_STATE_DISCARDED"}
        city.answer(f"POST /api/v1/{row['name']}:discard", discarded)
        result = city.run("quarantine", "discard", short, "--reason", "a test")
        assert result.stdout == f"row {short}: discarded\n"
        assert city.sent(f"/api/v1/{row['name']}:discard") == {"reason": "a test"}
        assert city.run("quarantine", "discard", "ecology/7", "--reason", "x").exit_code == 2
        assert city.run("quarantine", "discard", short).exit_code == 2

    def test_replay(self, city: City, tmp_path: Path) -> None:
        file = tmp_path / "repair.csv"
        file.write_bytes(b"plaza_row,x\r\n1,2\r\n")
        city.answer(f"POST /api/v1/{DATASET}:replay", {"name": RUN})
        city.stream(f"GET /api/v1/{RUN}:watch", lines({**DONE, "version": 3}))
        result = city.run("quarantine", "replay", "ecology/air-quality", str(file), "--wait")
        assert (result.exit_code, "version 3" in result.stdout) == (0, True)
        assert city.sent(f"/api/v1/{DATASET}:replay") == {"upload": UPLOAD}

    def test_broken_export_leaves_no_file(self, city: City, tmp_path: Path) -> None:
        city.stream(f"GET /api/v1/{DATASET}/quarantine:export", [b"a,b\n", httpx.ReadError("gone")])
        target = tmp_path / "out" / "refused.csv"
        target.parent.mkdir()
        result = city.run("quarantine", "export", "ecology/air-quality", "--output", str(target))
        assert result.exit_code == 1
        assert not list(target.parent.iterdir())


class TestInfer:
    PROPOSAL: ClassVar[dict[str, Any]] = {
        "contract": {
            "fields": [
                {"name": "station", "type": "FIELD_TYPE_STRING", "required": True},
                {
                    "name": "pm2_5",
                    "sourceName": "PM2.5",
                    "type": "FIELD_TYPE_NUMBER",
                    "missingValues": ["NA"],
                },
            ],
            "key": ["station"],
        },
        "fields": [{"field": "pm2_5", "reasons": ["all values are numbers", "NA is the only other text"]}],
        "keyReason": "no two rows share it",
        "rows": "35064",
        "raggedRows": "3",
    }

    @pytest.fixture(autouse=True)
    def _inference(self, city: City) -> None:
        city.answer("GET /api/v1/caller", {"departments": ["departments/ecology"]})
        city.answer(f"POST /api/v1/{UPLOAD}:infer", {"name": RUN})
        ended = {**DONE, "kind": "RUN_KIND_INFER", "proposal": self.PROPOSAL}
        city.stream(f"GET /api/v1/{RUN}:watch", lines(ended))
        city.routes["POST /api/v1/contracts:render"] = lambda request: httpx.Response(
            200, content="apiVersion: v3.1.0\n"
        )

    def test_shows_the_proposal(self, city: City, file: Path) -> None:
        result = city.run("dataset", "infer", str(file))
        assert result.exit_code == 0, result.output
        for text in (
            *("PM2.5", "number", "NA is the only other text", "no two rows share it", "35,064", "3 (they"),
            *("nothing was registered", "--output contract.yaml"),
        ):
            assert text in result.stdout
        assert not city.asked("/api/v1/contracts:render")

    def test_writes_the_contract_once(self, city: City, file: Path, tmp_path: Path) -> None:
        target = tmp_path / "contract.yaml"
        words = ("dataset", "infer", str(file), "--output", str(target), "--missing", "-9999")
        result = city.run(*words)
        assert target.read_text() == "apiVersion: v3.1.0\n"
        assert f"plaza dataset register ecology/DATASET --contract {target}" in result.stdout
        sent = city.sent("/api/v1/contracts:render")
        assert sent["title"] == "空气 1"
        assert sent["contract"] == self.PROPOSAL["contract"]
        assert city.sent(f"/api/v1/{UPLOAD}:infer") == {"missingValues": ["-9999"]}
        asked = len(city.requests)
        assert city.run(*words).exit_code == 2
        assert len(city.requests) == asked
        assert city.run(*words, "--force").exit_code == 0

    def test_json(self, city: City, file: Path) -> None:
        told = json.loads(city.run("dataset", "infer", str(file), "--json").stdout)
        assert (told["registered"], told["department"]) == (False, "departments/ecology")
        assert told["contract"] == self.PROPOSAL["contract"]

    def test_several_departments(self, city: City, file: Path) -> None:
        city.answer("GET /api/v1/caller", {"departments": ["departments/ecology", "departments/health"]})
        result = city.run("dataset", "infer", str(file))
        assert (result.exit_code, "ecology, health" in result.stderr) == (2, True)
        assert city.run("dataset", "infer", str(file), "--department", "ecology").exit_code == 0

    def test_failed_inference(self, city: City, file: Path, tmp_path: Path) -> None:
        city.stream(f"GET /api/v1/{RUN}:watch", lines(FAILED))
        target = tmp_path / "contract.yaml"
        result = city.run("dataset", "infer", str(file), "--output", str(target))
        assert (result.exit_code, target.exists()) == (1, False)
        assert "no heading" in result.stderr
