"""The form of a directory: its columns with the headings departments use, and the words of its values.

The 13 fields of 《政务信息资源目录编制指南（试行）》, section 4 (core metadata), their parts, and what a dataset has
beyond them. One row for each information item; the directory fields are repeated or left blank below the first.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import date
from enum import StrEnum

from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza.common.v1 import contract_pb2, grades_pb2


class Column(StrEnum):
    """What a column says; the value is the place in `Dataset`, or `item.` and the place in `Field`."""

    ID = "name"
    CATEGORY = "category"
    NAME = "display_name"
    NAME_EN = "display_name_en"
    CODE = "code"
    PROVIDER = "provider"
    PROVIDER_CODE = "provider_code"
    ABSTRACT = "description"
    ABSTRACT_EN = "description_en"
    FORMAT = "format"
    SHARING_CLASS = "sharing.class"
    SHARING_CONDITION = "sharing.condition"
    SHARING_METHOD = "sharing.method"
    OPENING = "opening.allowed"
    OPENING_CONDITION = "opening.condition"
    CYCLE = "update_cycle"
    PUBLISHED = "publication_date"
    RELATED = "related_codes"
    GRADE = "city_level"
    LICENCE = "licence"
    KEYWORDS = "keywords"
    SOURCE_SYSTEM = "source_system"
    ITEM_TITLE = "item.title"
    ITEM_NAME = "item.name"
    ITEM_SOURCE = "item.source_name"
    ITEM_TYPE = "item.type"
    ITEM_REQUIRED = "item.required"
    ITEM_KEY = "item.key"
    ITEM_UNIT = "item.unit"
    ITEM_DESCRIPTION = "item.description"

    @property
    def of_item(self) -> bool:
        """It says something about one information item, not about the dataset."""
        return self.value.startswith("item.")


HEADINGS: Mapping[Column, tuple[str, ...]] = {
    Column.ID: ("数据集标识", "dataset", "dataset id"),
    Column.CATEGORY: ("信息资源分类", "分类", "资源分类", "category"),
    Column.NAME: (
        "信息资源名称",
        "名称",
        "资源名称",
        "数据集名称",
        "目录名称",
        "title",
        "dataset name",
        "display name",
    ),
    Column.NAME_EN: ("英文名称", "信息资源英文名称", "english name", "title en", "display name en"),
    Column.CODE: ("信息资源代码", "代码", "资源代码", "目录代码", "code"),
    Column.PROVIDER: ("信息资源提供方", "提供方", "资源提供方", "provider"),
    Column.PROVIDER_CODE: ("资源提供方代码", "提供方代码", "信息资源提供方代码", "provider code"),
    Column.ABSTRACT: ("信息资源摘要", "摘要", "资源摘要", "abstract", "description"),
    Column.ABSTRACT_EN: ("英文摘要", "abstract en", "description en", "english abstract"),
    Column.FORMAT: ("信息资源格式", "格式", "资源格式", "format"),
    Column.SHARING_CLASS: ("共享类型", "共享属性", "共享类别", "sharing class", "sharing"),
    Column.SHARING_CONDITION: ("共享条件", "sharing condition"),
    Column.SHARING_METHOD: ("共享方式", "sharing method"),
    Column.OPENING: ("是否向社会开放", "开放属性", "开放类型", "open", "opening"),
    Column.OPENING_CONDITION: ("开放条件", "open condition", "opening condition"),
    Column.CYCLE: ("更新周期", "update cycle"),
    Column.PUBLISHED: ("发布日期", "publication date"),
    Column.RELATED: ("关联资源代码", "关联信息资源代码", "related codes"),
    Column.GRADE: ("数据级别", "数据分级", "分级", "城市级别", "grade", "city level"),
    Column.LICENCE: ("许可协议", "许可", "licence", "license"),
    Column.KEYWORDS: ("关键词", "关键字", "keywords"),
    Column.SOURCE_SYSTEM: ("源系统", "所属系统", "来源系统", "source system"),
    Column.ITEM_TITLE: ("信息项名称", "信息项", "数据项名称", "information item", "item", "item title"),
    Column.ITEM_NAME: ("字段名", "信息项英文名", "字段英文名", "英文字段名", "field", "field name"),
    Column.ITEM_SOURCE: ("来源列名", "源字段名", "source heading", "source name"),
    Column.ITEM_TYPE: ("数据类型", "信息项类型", "信息项数据类型", "字段类型", "data type", "type"),
    Column.ITEM_REQUIRED: ("是否必填", "必填", "required"),
    Column.ITEM_KEY: ("主键", "是否主键", "key"),
    Column.ITEM_UNIT: ("计量单位", "单位", "unit"),
    Column.ITEM_DESCRIPTION: ("信息项说明", "字段说明", "item description", "field description"),
}
"""The first heading of each is the one that is exported."""
GROUPS = frozenset({"信息项信息", "信息项", "共享属性", "开放属性", "信息资源提供方", "提供方"})
"""Headings that may stand above others (two-row headings of the guide's annex)."""
UNREAD = frozenset({"序号", "no", "no.", "#", "编号"})
"""Row numbers of the spreadsheet itself."""


def plain(heading: str) -> str:
    """One form of equal headings: no blanks, no stars, nothing in brackets, full-width as half-width."""
    text = unicodedata.normalize("NFKC", heading).casefold()
    return re.sub(r"\([^)]*\)|\[[^\]]*\]|[\s_*:.-]+", "", text)


_KNOWN = {plain(word): column for column, words in HEADINGS.items() for word in words}
_GROUPS = frozenset(map(plain, GROUPS))
_UNREAD = frozenset(map(plain, UNREAD))


def column_of(heading: str) -> Column | None:
    return _KNOWN.get(plain(heading))


def is_group(heading: str) -> bool:
    return plain(heading) in _GROUPS


def is_unread(heading: str) -> bool:
    return plain(heading) in _UNREAD


def _words(rows: Mapping[int, str]) -> dict[str, int]:
    return {plain(word): value for value, words in rows.items() for word in words.split()}


# The first word is the one that is exported.
_GRADES: Mapping[int, str] = {
    grades_pb2.CITY_LEVEL_PUBLIC: "公开 公开级 public",
    grades_pb2.CITY_LEVEL_INTERNAL: "内部 内部级 internal",
    grades_pb2.CITY_LEVEL_SENSITIVE: "敏感 敏感级 sensitive",
    grades_pb2.CITY_LEVEL_CORE: "核心 核心级 core",
}
_SHARING: Mapping[int, str] = {
    grades_pb2.SHARING_CLASS_UNCONDITIONAL: "无条件共享 无条件 unconditional",
    grades_pb2.SHARING_CLASS_CONDITIONAL: "有条件共享 有条件 conditional",
    grades_pb2.SHARING_CLASS_NOT_SHARED: "不予共享 不共享 不予 notshared",
}
_OPENING: Mapping[int, str] = {
    1: "是 开放 可开放 无条件开放 有条件开放 yes y true 1 open",
    0: "否 不开放 不予开放 不可开放 no n false 0 closed",
}
_CYCLES: Mapping[int, str] = {
    pb.UPDATE_CYCLE_REAL_TIME: "实时 realtime",
    pb.UPDATE_CYCLE_HOURLY: "每小时 小时 hourly",
    pb.UPDATE_CYCLE_DAILY: "每日 每天 日 天 daily",
    pb.UPDATE_CYCLE_WEEKLY: "每周 周 weekly",
    pb.UPDATE_CYCLE_MONTHLY: "每月 月 monthly",
    pb.UPDATE_CYCLE_QUARTERLY: "每季度 每季 季度 季 quarterly",
    pb.UPDATE_CYCLE_YEARLY: "每年 年 年度 yearly annual",
    pb.UPDATE_CYCLE_IRREGULAR: "不定期 irregular",
}
# The guide's letters: C, N, Y (money), D, T, L, M (memo), B (double), I, F.
_TYPES: Mapping[int, str] = {
    contract_pb2.FIELD_TYPE_STRING: (
        "字符型 字符型c c 字符串 字符串型 文本 文本型 备注型 备注型m m string text char varchar"
    ),
    contract_pb2.FIELD_TYPE_INTEGER: "整型 整型i i 整数 整数型 integer int bigint smallint",
    contract_pb2.FIELD_TYPE_NUMBER: (
        "数值型 数值型n n 数值 数字 小数 浮点型 浮点型f f 双精度型 双精度型b b 货币型 货币型y y"
        " number float double decimal numeric"
    ),
    contract_pb2.FIELD_TYPE_BOOLEAN: "布尔型 布尔 逻辑型 逻辑型l l boolean bool",
    contract_pb2.FIELD_TYPE_DATE: "日期型 日期型d d 日期 date",
    contract_pb2.FIELD_TYPE_TIMESTAMP: "日期时间型 日期时间型t t 日期时间 时间戳 datetime timestamp",
}
_FLAGS: Mapping[int, str] = {1: "是 y yes true 1 √ 必填", 0: "否 n no false 0 × 非必填"}

VALUES: Mapping[Column, Mapping[int, str]] = {
    Column.GRADE: _GRADES,
    Column.SHARING_CLASS: _SHARING,
    Column.OPENING: _OPENING,
    Column.CYCLE: _CYCLES,
    Column.ITEM_TYPE: _TYPES,
    Column.ITEM_REQUIRED: _FLAGS,
}
_BY_WORD = {column: _words(rows) for column, rows in VALUES.items()}


class UnknownWord(ValueError):
    """A word that the column does not know; `known`: those it knows."""

    def __init__(self, known: str) -> None:
        super().__init__(known)
        self.known = known


def value_of(column: Column, word: str) -> int:
    """The value of a Chinese or English word. Raises UnknownWord."""
    found = _BY_WORD[column].get(plain(word))
    if found is None:
        raise UnknownWord("、".join(words.split()[0] for words in VALUES[column].values()))
    return found


def word_of(column: Column, value: int) -> str:
    """The word that is exported; empty for what is not declared."""
    return VALUES[column].get(value, "").split(" ", 1)[0]


_SEPARATORS = ";；、,，\n"
_ITEM = re.compile(rf'\s*(?:"((?:[^"]|"")*)"|([^{_SEPARATORS}]*))\s*(?:[{_SEPARATORS}]|$)')


def list_of(cell: str) -> list[str]:
    """`a；b、"c、d"` → a, b, `c、d`, each once; empty ones are dropped."""
    found: list[str] = []
    for quoted, bare in _ITEM.findall(cell):
        one = quoted.replace('""', '"') if quoted else bare.strip()
        if one and one not in found:
            found.append(one)
    return found


def cell_of(items: list[str]) -> str:
    """The way back."""
    return "；".join(
        '"' + one.replace('"', '""') + '"'
        if one != one.strip() or one.startswith('"') or any(sign in one for sign in _SEPARATORS)
        else one
        for one in items
    )


_DATE = re.compile(r"(\d{4})(?:-|/|\.|年)?(\d{1,2})(?:-|/|\.|月)?(\d{1,2})日?(?: 00:00(?::00)?)?", re.ASCII)


def date_of(cell: str) -> str:
    """`2026年1月5日`, `2026/1/5`, `20260105` → `2026-01-05`. Raises ValueError."""

    found = _DATE.fullmatch(cell)
    if found is None:
        raise ValueError(cell)
    return date(int(found[1]), int(found[2]), int(found[3])).isoformat()
