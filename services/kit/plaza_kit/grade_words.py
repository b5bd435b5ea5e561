"""Grades and sharing classes in the words of policies and events: `CITY_LEVEL_PUBLIC` → `public`."""

from __future__ import annotations

from plaza.common.v1 import grades_pb2


def city_level_word(level: grades_pb2.CityLevel.ValueType) -> str:
    """`public`, `internal`, `sensitive`, `core`; empty: not graded."""
    return _word(grades_pb2.CityLevel.Name(level), "CITY_LEVEL_")


def sharing_class_word(sharing: grades_pb2.SharingClass.ValueType) -> str:
    """`unconditional`, `conditional`, `not_shared`; empty: not declared."""
    return _word(grades_pb2.SharingClass.Name(sharing), "SHARING_CLASS_")


def _word(name: str, prefix: str) -> str:
    word = name.removeprefix(prefix).lower()
    return "" if word == "unspecified" else word
