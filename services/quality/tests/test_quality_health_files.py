"""Health reports as files: the same numbers are the same bytes, in both languages and formats."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pypdf
import pytest
from plaza.quality.v1 import reports_pb2 as pb
from plaza_design.i18n import Language
from plaza_quality.report import words
from plaza_quality.report.compose import compose
from plaza_quality.report.files import written

sys.path.append(str(Path(__file__).parent))
from health_specimen import HOSTILE, LONG, LONG_ID, MONTHS, facts, report

A4 = (595, 842)
SAYS = {
    "zh": (
        "数据健康报告",
        "生态环境局",
        "2026 年 11 月",
        "得分最低的数据集",
        "企业排污许可",
        "准确性",
        "质量工单",
    ),
    "en": (
        "Data health report",
        "Ecology Bureau",
        "November 2026",
        "lowest scores",
        "Pollution permits",
        "Accuracy",
    ),
}
CITY = facts("-")
OWN = facts()


def pdf(made: pb.HealthReport, language: str) -> pypdf.PdfReader:
    media_type, data = written(made, "pdf", language)
    assert media_type == "application/pdf"
    return pypdf.PdfReader(io.BytesIO(data))


def text_of(file: pypdf.PdfReader) -> str:
    return "".join(page.extract_text() for page in file.pages)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_pdf_can_be_read_by_people_and_machines(language: str) -> None:
    made = report(OWN)
    file = pdf(made, language)
    read = re.sub(r"\s+", "", text_of(file))
    for words_ in (*SAYS[language], LONG, LONG_ID, made.figures_sha256, "14,451,972", "95"):
        assert re.sub(r"\s+", "", words_) in read
    # Names from outside are text, whatever they look like.
    assert re.sub(r"\s+", "", HOSTILE) in read
    catalog: Any = file.trailer["/Root"]
    assert catalog["/Lang"].split("-")[0] == language
    assert file.metadata is not None
    assert file.metadata.title == compose(made, words.translators()[words.LANGUAGES[language]]).title
    assert catalog["/MarkInfo"]["/Marked"]
    for number, page in enumerate(file.pages, 1):
        assert (round(page.mediabox.width), round(page.mediabox.height)) == A4
        pages = (
            f"第{number}页，共{len(file.pages)}页" if language == "zh" else f"Page{number}of{len(file.pages)}"
        )
        assert pages in re.sub(r"\s+", "", page.extract_text())
        # Nothing to open, nothing to run.
        assert "/Annots" not in page
    assert "/OpenAction" not in catalog
    assert "/Names" not in catalog


def test_bookmarks_lead_to_every_section() -> None:
    file = pdf(report(CITY), "zh")
    document = compose(report(CITY), words.translators()[Language.ZH])
    _, below = file.outline
    assert isinstance(below, list)
    assert [each.title for each in below] == [section.title for section in document.sections]
    assert [each.id for each in document.sections][3] == "departments"


def test_fonts_are_inside() -> None:
    file = pdf(report(OWN), "zh")
    fonts: dict[str, Any] = {}
    for page in file.pages:
        for font in page["/Resources"]["/Font"].values():  # type: ignore[index]
            (each,) = font.get_object()["/DescendantFonts"]
            fonts[each.get_object()["/BaseFont"]] = each.get_object()["/FontDescriptor"]
    assert fonts
    assert all("NotoSansSC" in name and "/FontFile3" in font for name, font in fonts.items())


@pytest.mark.parametrize("format_", ["pdf", "html"])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_same_report_is_the_same_bytes(format_: str, language: str) -> None:
    made = report(CITY)
    again = pb.HealthReport.FromString(made.SerializeToString())
    assert written(made, format_, language) == written(again, format_, language)
    again.figures.now.score -= 1
    assert written(made, format_, language) != written(again, format_, language)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_html_needs_nothing_and_runs_nothing(language: str) -> None:
    media_type, data = written(report(CITY), "html", language)
    assert media_type == "text/html; charset=utf-8"
    text = data.decode()
    style = re.search(r"<style>(.*?)</style>", text, re.S)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in text
    assert not re.search(r"<script|\sstyle=|\son\w+=\"|(?:src|href)=\"(?!#)", text.replace(style[0], ""))
    assert HOSTILE not in text
    assert "&lt;b onclick=" in text
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", text)) | set(re.findall(r'href="#([^"]+)"', text)) <= set(ids)
    assert text.count("<h1>") == 1
    assert f'lang="{words.LANGUAGES[language]}"' in text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("空气 😀 质量", "空气 〓 质量"),
        ("\u0007铃\u202e反\ufe0f\n行", "铃反 行"),
        ("مرحبا", "〓〓〓〓〓"),
        ("𠮷野家\ue000", "〓野家〓"),
        ("@a <b> #let x = 1 `c` $x$ // d /* ~ -- \\u{41}", "@a <b> #let x = 1 `c` $x$ // d /* ~ -- \\u{41}"),
    ],
)
def test_what_a_font_lacks_is_marked(name: str, shown: str) -> None:
    given = facts()
    given.names["departments/ecology"] = (name, "")  # type: ignore[index]  # a dict here
    file = pdf(report(given), "zh")
    assert file.metadata is not None
    assert str(file.metadata.title).startswith(shown)
    assert re.sub(r"\s+", "", shown) in re.sub(r"\s+", "", text_of(file))


def variants() -> list[pb.HealthReport]:
    """Every sentence that a report can say."""
    during = report(OWN, origin=pb.HEALTH_REPORT_ORIGIN_ON_DEMAND, author="ecology-officer")
    during.create_time.FromDatetime(datetime(2026, 11, 20, tzinfo=UTC))
    during.as_of_time.CopyFrom(during.create_time)
    during.figures.before.score = during.figures.now.score
    during.figures.before.red = 4
    fell = report(OWN, origin=pb.HEALTH_REPORT_ORIGIN_ON_DEMAND)
    fell.figures.before.score = 99
    first = report(OWN)
    first.figures.before.ClearField("score")
    more = report(OWN)
    more.figures.before.red = 0
    twelve = [report(OWN, month=month) for month in MONTHS]
    all_dimensions = report(OWN)
    for number in range(1, 7):
        all_dimensions.figures.now.dimensions.add(dimension=number, score=90)  # type: ignore[arg-type]
    changed = all_dimensions.figures.changed.add(dataset="departments/e/datasets/x")
    changed.score, changed.score_before = 1, 2
    return [report(CITY), report(facts(empty=True)), during, fell, first, more, all_dimensions, *twelve]


@pytest.mark.parametrize("language", list(Language))
def test_words_are_complete_and_none_lies_unused(language: Language, monkeypatch: pytest.MonkeyPatch) -> None:
    said: set[str] = set()
    translator = words.translators()[language]
    pattern = type(translator).pattern

    def noting(self: Any, key: str, n: int | None = None) -> str:
        said.add(key)
        return pattern(self, key, n)

    monkeypatch.setattr(type(translator), "pattern", noting)
    for made in variants():
        compose(made, translator)
    assert said == set(translator.messages) == set(words.translators()[language.other].messages)


def test_english_is_english_and_chinese_is_chinese() -> None:
    both = words.translators()
    for key, forms in both[Language.EN].messages.items():
        assert not re.search(r"[\u4e00-\u9fff！？。，]", "".join(forms)), key
    for key, forms in both[Language.ZH].messages.items():
        assert not re.search("！|进行|予以|相关|点击此处", "".join(forms)), key
