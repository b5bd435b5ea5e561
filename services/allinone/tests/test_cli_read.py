"""`plaza rows`, `plaza release`."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from plaza_cli.records import Cut

if TYPE_CHECKING:
    from conftest import City

DATASET = "departments/ecology/datasets/air-quality"
ROWS = f"GET /api/v1/{DATASET}/rows"
NAMED = {
    "plaza_version": "3",
    "plaza_agreement": "agreements/7",
    "plaza_delivery": "agreements/7/deliveries/1",
}


def page(*rows: str, token: str = "") -> list[bytes | Exception]:
    text = f'{{"version": 3, "columns": ["station", "pm2_5"], "rows": [{",".join(rows)}], '
    return [(text + f'"nextPageToken": "{token}"}}').encode()]


@pytest.fixture(autouse=True)
def _logged_in(city: City) -> None:
    city.logged_in()


class TestRows:
    def test_table(self, city: City) -> None:
        city.stream(ROWS, page('["Dongsi", 42.10]', '["万寿西宫", null]', token="t"), **NAMED)
        result = city.run(
            *("rows", "ecology/air-quality", "--where", 'station = "Dongsi"', "--columns", "station, pm2_5"),
            *(
                "--order-by",
                "pm2_5 desc",
                "--as-of",
                "3",
                "--limit",
                "2",
                "--purpose",
                "study",
                "--reader",
                "health",
            ),
        )
        assert result.exit_code == 0, result.output
        # The digits are the server's, not those of a float.
        assert "42.10" in result.stdout
        assert "agreements/7/deliveries/1" in result.stderr
        assert "there are more" in result.stderr
        assert dict(city.requests[-1].url.params) == {
            "filter": 'station = "Dongsi"',
            "columns": "station,pm2_5",
            "orderBy": "pm2_5 desc",
            "version": "3",
            "purpose": "study",
            "reader": "departments/health",
            "format": "json",
            "pageSize": "2",
        }

    def test_table_has_twenty_rows_by_default(self, city: City) -> None:
        city.stream(ROWS, page(*['["a", 1]'] * 20))
        result = city.run("rows", "ecology/air-quality")
        assert city.requests[-1].url.params["pageSize"] == "20"
        assert "there are more" not in result.stderr

    def test_json_is_one_document_over_all_pages(self, city: City) -> None:
        city.stream(
            ROWS,
            page('["a", 0.10]', '["b\\n", true]', token="t1"),
            page('["c", 12345678901234567890]'),
            **NAMED,
        )
        result = city.run("rows", "ecology/air-quality", "--json")
        assert json.loads(result.stdout, parse_float=str) == {
            "version": 3,
            "agreement": "agreements/7",
            "delivery": "agreements/7/deliveries/1",
            "columns": ["station", "pm2_5"],
            "rows": [["a", "0.10"], ["b\n", True], ["c", 12345678901234567890]],
        }
        assert city.requests[-1].url.params["pageToken"] == "t1"
        assert result.stderr.count("agreement ") == 1

    def test_json_without_rows(self, city: City) -> None:
        city.stream(ROWS, page())
        assert json.loads(city.run("rows", "ecology/air-quality", "--format", "json").stdout)["rows"] == []

    def test_csv_is_passed_through(self, city: City) -> None:
        city.stream(ROWS, [b"station,pm2_5\r\n", b"a,1\r\n\xff"], **NAMED)
        result = city.run("rows", "ecology/air-quality", "--format", "csv")
        assert result.stdout_bytes == b"station,pm2_5\r\na,1\r\n\xff"
        assert city.requests[-1].url.params["format"] == "csv"
        assert "version 3" in result.stderr

    def test_limit_of_csv_counts_records(self, city: City) -> None:
        city.stream(ROWS, [b'h\r\n"a\r', b'\nb""\n"\r\nc\r\nd\r\n'])
        result = city.run("rows", "ecology/air-quality", "--format", "csv", "--limit", "2")
        assert result.stdout_bytes == b'h\r\n"a\r\nb""\n"\r\nc\r\n'

    def test_broken_stream(self, city: City, tmp_path: Path) -> None:
        city.stream(ROWS, [b"h\r\n", httpx.RemoteProtocolError("incomplete chunked read")])
        directory = tmp_path / "out"
        directory.mkdir()
        target = directory / "air.csv"
        for words in ((), ("--output", str(target))):
            result = city.run("rows", "ecology/air-quality", "--format", "csv", *words)
            assert result.exit_code == 1
            assert "not complete" in result.stderr
        assert not list(directory.iterdir())

    def test_broken_page(self, city: City) -> None:
        city.stream(ROWS, [b'{"version"', httpx.ReadError("gone")])
        assert city.run("rows", "ecology/air-quality").exit_code == 1
        city.stream(ROWS, [b'{"version": 3}'])
        assert city.run("rows", "ecology/air-quality").exit_code == 1

    @pytest.mark.parametrize(
        ("name", "form"), [("a.jsonl", "jsonl"), ("a.CSV", "csv"), ("a", "csv"), ("a.parquet", "parquet")]
    )
    def test_output_names_the_format(self, city: City, tmp_path: Path, name: str, form: str) -> None:
        city.stream(ROWS, [b"{}\n"])
        assert city.run("rows", "ecology/air-quality", "--output", str(tmp_path / name)).exit_code == 0
        assert city.requests[-1].url.params["format"] == form
        assert (tmp_path / name).read_bytes() == b"{}\n"

    def test_refusal(self, city: City) -> None:
        problem = {"status": 403, "detail": "not shared", "reason": "NOT_SHARED", "remedy": "Ask for it."}
        city.answer(ROWS, problem, status=403)
        for form in ("table", "csv", "json"):
            result = city.run("rows", "ecology/air-quality", "--format", form)
            assert (result.exit_code, result.stdout) == (1, "")
            assert "Ask for it." in result.stderr

    def test_binary_forms_are_whole_or_nothing(self, city: City) -> None:
        city.stream(ROWS, [b"PAR1\xff\x00", b"PAR1"], **NAMED)
        result = city.run("rows", "ecology/air-quality", "--format", "parquet")
        assert result.stdout_bytes == b"PAR1\xff\x00PAR1"
        refused = city.run("rows", "ecology/air-quality", "--format", "arrow", "--limit", "2")
        assert (refused.exit_code, "cannot cut" in refused.stderr) == (2, True)

    def test_table_is_not_for_files(self, city: City) -> None:
        assert city.run("rows", "ecology/air-quality", "--format", "table", "--output", "x").exit_code == 2


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_cut_does_not_depend_on_the_pieces(size: int) -> None:
    text = b'h\n"a\nb"\nc""\n"d"\n'
    for limit, wanted in ((1, b'h\n"a\nb"\n'), (2, b'h\n"a\nb"\nc""\n'), (9, text)):
        cut, got = Cut(limit, heading=True), b""
        for start in range(0, len(text), size):
            got += cut(text[start : start + size])
            if cut.complete:
                break
        assert got == wanted
    lines = Cut(1, heading=False)
    assert lines(b'{"a": "x\\""}\n{}\n') == b'{"a": "x\\""}\n'


DATA = b"station,pm2_5\r\n" + b"Dongsi,42\r\n" * 1000
FILE = {
    "fileName": "air-quality-r2.csv",
    "contentType": "text/csv",
    "sizeBytes": str(len(DATA)),
    "sha256": hashlib.sha256(DATA).hexdigest(),
}
RELEASE: dict[str, Any] = {
    "name": f"{DATASET}/releases/2",
    "release": 2,
    "version": 3,
    "state": "RELEASE_STATE_PUBLISHED",
    "rows": "280512",
    "files": [FILE],
    "score": 97.4567,
    "light": "LIGHT_GREEN",
    "ledgerIndex": "0",
    "publishTime": "2026-11-20T08:00:00Z",
}
BUILDING = {"name": RELEASE["name"], "release": 2, "version": 3, "state": "RELEASE_STATE_APPROVED"}
RELEASES = f"/api/v1/{DATASET}/releases"
FILES = f"GET {RELEASES}/2/files/air-quality-r2.csv"


class TestPublish:
    @pytest.fixture(autouse=True)
    def _building(self, city: City) -> None:
        city.answer(f"POST {RELEASES}", BUILDING)
        city.answer(f"GET {RELEASES}/2", BUILDING, RELEASE)

    def test_waits_until_published(self, city: City) -> None:
        result = city.run("release", "publish", "ecology/air-quality", "--data-version", "3")
        assert result.exit_code == 0, result.output
        assert city.sent(RELEASES) == {"version": 3}
        for text in ("published", "280,512", FILE["sha256"], "97.46", "green"):
            assert text in result.stdout
        ledger = next(line for line in result.stdout.splitlines() if line.startswith("ledger entry"))
        assert ledger.split()[-1] == "0"
        assert len(city.slept) == 2

    def test_does_not_wait_when_told(self, city: City) -> None:
        result = city.run("release", "publish", "ecology/air-quality", "--no-wait", "--json")
        assert json.loads(result.stdout) == BUILDING
        assert city.sent(RELEASES) == {}
        assert not city.slept

    def test_gate(self, city: City) -> None:
        problem = {"status": 400, "detail": "gate `grade`: sensitive", "remedy": "Grade it public."}
        city.answer(f"POST {RELEASES}", problem, status=400)
        result = city.run("release", "publish", "ecology/air-quality")
        assert (result.exit_code, "Grade it public." in result.stderr) == (1, True)

    def test_failed(self, city: City) -> None:
        city.answer(f"GET {RELEASES}/2", {**BUILDING, "state": "RELEASE_STATE_FAILED", "error": "disk full"})
        result = city.run("release", "publish", "ecology/air-quality")
        assert (result.exit_code, "disk full" in result.stderr) == (1, True)

    def test_short_outage_is_waited_out(self, city: City) -> None:
        answers = [httpx.Response(503, json={"detail": "restarting"}), httpx.Response(200, json=RELEASE)]
        city.routes[f"GET {RELEASES}/2"] = lambda request: answers.pop(0)
        assert city.run("release", "publish", "ecology/air-quality").exit_code == 0

    def test_list_and_withdraw(self, city: City) -> None:
        withdrawn = {**RELEASE, "state": "RELEASE_STATE_WITHDRAWN", "withdrawReason": "wrong unit"}
        city.answer(f"GET {RELEASES}", {"releases": [RELEASE, {**withdrawn, "release": 1}]})
        shown = city.run("release", "list", "ecology/air-quality").stdout
        for text in ("published", "withdrawn", "wrong unit", "air-quality-r2.csv"):
            assert text in shown
        city.answer(f"POST {RELEASES}/2:withdraw", withdrawn)
        result = city.run("release", "withdraw", "ecology/air-quality", "2", "--reason", "wrong unit")
        assert "is withdrawn: wrong unit" in result.stdout
        assert city.sent(f"{RELEASES}/2:withdraw") == {"reason": "wrong unit"}
        assert city.run("release", "withdraw", "ecology/air-quality", "2").exit_code == 2


class TestDownload:
    @pytest.fixture(autouse=True)
    def _open(self, city: City) -> None:
        city.run("logout")
        older = {**RELEASE, "release": 1, "state": "RELEASE_STATE_WITHDRAWN", "withdrawReason": "wrong unit"}
        opened = {"latestRelease": RELEASE, "releases": [RELEASE, older]}
        city.answer(f"GET /api/v1/{DATASET}/openDataset", opened)
        city.stream(f"{FILES}.proof.json", [b'{"proof": 1}'])
        city.stream(FILES, [DATA[:100], DATA[100:]])

    def ranged(self, city: City) -> None:
        def handler(request: httpx.Request) -> httpx.Response:
            start = int(request.headers["range"].removeprefix("bytes=").rstrip("-"))
            headers = {"content-range": f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"}
            return httpx.Response(206, content=DATA[start:], headers=headers)

        city.routes[FILES] = handler

    def download(self, city: City, directory: Path, *words: str) -> Any:
        return city.run("release", "download", "ecology/air-quality", *words, "--output", str(directory))

    def test_newest_with_proof_and_no_log_in(self, city: City, tmp_path: Path) -> None:
        directory = tmp_path / "new" / "folder"
        result = self.download(city, directory)
        assert result.exit_code == 0, result.output
        assert (directory / "air-quality-r2.csv").read_bytes() == DATA
        assert (directory / "air-quality-r2.csv.proof.json").read_bytes() == b'{"proof": 1}'
        assert len(list(directory.iterdir())) == 2
        assert "plaza verify" in result.stdout
        assert all("authorization" not in one.headers for one in city.asked(FILES.removeprefix("GET ")))

    def test_broken_download_goes_on(self, city: City, tmp_path: Path) -> None:
        city.stream(FILES, [DATA[:4000], httpx.ReadError("gone")])
        result = self.download(city, tmp_path)
        assert result.exit_code == 1
        assert "4,000 of 11,015 bytes" in result.stderr
        assert not (tmp_path / "air-quality-r2.csv").exists()
        self.ranged(city)
        [told] = json.loads(self.download(city, tmp_path, "2", "--json").stdout)
        assert (told["resumedFrom"], told["sha256"]) == (4000, FILE["sha256"])
        assert (tmp_path / "air-quality-r2.csv").read_bytes() == DATA
        assert city.asked(FILES.removeprefix("GET "))[-1].headers["range"] == "bytes=4000-"
        assert not (tmp_path / "air-quality-r2.csv.part").exists()

    def test_server_without_ranges(self, city: City, tmp_path: Path) -> None:
        (tmp_path / "air-quality-r2.csv.part").write_bytes(DATA[:4000])
        assert self.download(city, tmp_path).exit_code == 0
        assert (tmp_path / "air-quality-r2.csv").read_bytes() == DATA

    def test_part_of_another_file_is_fetched_anew(self, city: City, tmp_path: Path) -> None:
        (tmp_path / "air-quality-r2.csv.part").write_bytes(b"x" * 4000)

        def handler(request: httpx.Request) -> httpx.Response:
            if "range" not in request.headers:
                return httpx.Response(200, content=DATA)
            headers = {"content-range": f"bytes 4000-{len(DATA) - 1}/{len(DATA)}"}
            return httpx.Response(206, content=DATA[4000:], headers=headers)

        city.routes[FILES] = handler
        assert self.download(city, tmp_path).exit_code == 0
        assert (tmp_path / "air-quality-r2.csv").read_bytes() == DATA

    def test_wrong_bytes_are_not_kept(self, city: City, tmp_path: Path) -> None:
        city.stream(FILES, [DATA[:-1] + b"x"])
        directory = tmp_path / "out"
        assert self.download(city, directory).exit_code == 5
        assert not list(directory.iterdir())

    def test_second_time_fetches_only_the_proof(self, city: City, tmp_path: Path) -> None:
        self.download(city, tmp_path)
        [told] = json.loads(self.download(city, tmp_path, "--json").stdout)
        assert told["alreadyThere"]
        assert len(city.asked(FILES.removeprefix("GET "))) == 1

    def test_another_file_of_that_name_stays(self, city: City, tmp_path: Path) -> None:
        (tmp_path / "air-quality-r2.csv").write_bytes(b"mine")
        assert self.download(city, tmp_path).exit_code == 2
        assert (tmp_path / "air-quality-r2.csv").read_bytes() == b"mine"

    def test_withdrawn_and_unknown(self, city: City, tmp_path: Path) -> None:
        result = self.download(city, tmp_path, "1")
        assert (result.exit_code, "wrong unit" in result.stderr) == (1, True)
        result = self.download(city, tmp_path, "9")
        assert (result.exit_code, "There are: 1, 2." in result.stderr) == (1, True)

    @pytest.mark.parametrize("name", ["../evil", "/etc/x", ".profile", "a\\b", "", "a\x00b"])
    def test_server_does_not_choose_the_place(self, city: City, tmp_path: Path, name: str) -> None:
        hostile = {**RELEASE, "files": [{**FILE, "fileName": name}]}
        city.answer(f"GET /api/v1/{DATASET}/openDataset", {"latestRelease": hostile})
        directory = tmp_path / "out"
        assert self.download(city, directory).exit_code == 1
        assert not list(directory.iterdir())
