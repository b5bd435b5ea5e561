from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from plaza_kit.search_words import index_tokens, normalise, phrases, query_tokens

_HAN = st.text("空气质量监测数据环境", min_size=2, max_size=12)


def test_pairs_for_chinese_and_words_for_latin() -> None:
    assert query_tokens("空气质量 PM2.5") == ["5", "pm2", "气质", "空气", "质量"]
    assert query_tokens("气") == ["气"]
    assert phrases("空气质 大气") == ["空气质"]


def test_width_and_case_do_not_matter() -> None:
    assert normalise("  ＡＢＣ　Def ") == "abc def"
    assert query_tokens("ＡＱＩ") == query_tokens("aqi") == ["aqi"]


@given(_HAN, st.data())
def test_every_part_of_a_chinese_text_finds_it(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    assert set(query_tokens(text[start:end])) <= set(index_tokens([f"report {text} 2024"]))


@given(st.text(max_size=40))
def test_a_text_finds_itself(text: str) -> None:
    assert set(query_tokens(text)) <= set(index_tokens([text]))
