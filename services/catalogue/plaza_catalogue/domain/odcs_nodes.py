"""Maps and lists of a document, each with the place where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from plaza_catalogue.domain.odcs_yaml import BadDocument


@dataclass(frozen=True, slots=True)
class Node:
    """A map of the document and the place where it stands."""

    data: dict[str, Any]
    place: str

    def at(self, key: str) -> str:
        return f"{self.place}.{key}" if self.place else key

    def text(self, key: str, default: str | None = "") -> str:
        value = self.data.get(key)
        if value is None:
            if default is None:
                raise bad(self.at(key), "is missing")
            return default
        if not isinstance(value, str):
            raise bad(self.at(key), "must be a text; put quotation marks around it")
        return value

    def flag(self, key: str) -> bool:
        value = self.data.get(key, False)
        if not isinstance(value, bool):
            raise bad(self.at(key), "must be true or false")
        return value

    def number(self, key: str) -> float:
        return _number(self.data.get(key), self.at(key))

    def node(self, key: str) -> Node:
        return _node(self.data.get(key, {}), self.at(key))

    def nodes(self, key: str) -> list[Node]:
        return [
            _node(v, f"{self.at(key)}[{i}]") for i, v in enumerate(_list(self.data.get(key), self.at(key)))
        ]

    def items(self, key: str) -> list[Any]:
        """Of a list, whatever they are."""
        return _list(self.data.get(key), self.at(key))

    def custom(self) -> Node:
        """`customProperties` as a map."""
        said = {
            item.text("property", None): item.data.get("value") for item in self.nodes("customProperties")
        }
        return Node(said, self.at("customProperties"))

    def texts(self, key: str) -> list[str]:
        values = _list(self.data.get(key), self.at(key))
        for index, value in enumerate(values):
            if not isinstance(value, str):
                raise bad(f"{self.at(key)}[{index}]", "must be a text; put quotation marks around it")
        return values


def _node(value: Any, place: str) -> Node:
    if not isinstance(value, dict):
        raise bad(place, "must be a map")
    return Node(value, place)


def _list(value: Any, place: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise bad(place, "must be a list")
    return value


def _number(value: Any, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise bad(place, "must be a number")
    try:
        return float(value)
    except OverflowError:
        raise bad(place, "is too large") from None


def bad(place: str, what: str) -> BadDocument:
    """What is wrong at a place."""
    return BadDocument(
        f"{place}: {what}",
        remedy="correct this place; the standard is Open Data Contract Standard 3.1",
        facts={"place": place},
    )
