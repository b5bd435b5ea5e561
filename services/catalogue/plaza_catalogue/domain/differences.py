"""How two versions of a dataset's metadata differ, field by field, as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from plaza.catalogue.v1 import catalogue_pb2 as pb

from plaza_catalogue.domain.datasets import directory_part

_NAMED = {"fields": "name", "rules": "id"}
"""Lists whose members have names: a member that moved is the same member."""


def differences(before: pb.Dataset, after: pb.Dataset) -> list[pb.MetadataDifference]:
    """Directory fields in the order of the message, then the contract: `contract.fields.pm2_5.unit`."""
    return _between(_flat_dataset(before), _flat_dataset(after))


def message_differences(before: Message, after: Message) -> list[pb.MetadataDifference]:
    """Of two messages of one type, in the order of the message."""
    return _between(dict(_flat("", _dict(before))), dict(_flat("", _dict(after))))


def _between(olds: dict[str, str], news: dict[str, str]) -> list[pb.MetadataDifference]:
    return [
        pb.MetadataDifference(field=place, old_value=olds.get(place, ""), new_value=news.get(place, ""))
        for place in sorted({*olds, *news}, key=_position(olds, news))
        if olds.get(place, "") != news.get(place, "")
    ]


def _position(olds: dict[str, str], news: dict[str, str]) -> Any:
    order = {place: number for number, place in enumerate([*news, *(p for p in olds if p not in news)])}

    def key(place: str) -> tuple[bool, int]:
        return place.startswith("contract"), order[place]

    return key


def _flat_dataset(dataset: pb.Dataset) -> dict[str, str]:
    return dict(_flat("", _dict(directory_part(dataset)))) | dict(_flat("contract", _dict(dataset.contract)))


def _dict(message: Message) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True)


def _flat(place: str, value: Any) -> Iterator[tuple[str, str]]:
    match value:
        case dict():
            for name, each in value.items():
                yield from _flat(f"{place}.{name}" if place else name, each)
        case [dict(), *_] if place.rpartition(".")[2] in _NAMED:
            key = _NAMED[place.rpartition(".")[2]]
            # The order of fields is the order of the table.
            yield place, ", ".join(str(each.get(key, "")) for each in value)
            for each in value:
                rest = {name: part for name, part in each.items() if name != key}
                yield from _flat(f"{place}.{each.get(key, '')}", rest)
        case [dict(), *_]:
            for number, each in enumerate(value):
                yield from _flat(f"{place}[{number}]", each)
        case list():
            yield place, "; ".join(map(str, value))
        case bool():
            yield place, "true" if value else "false"
        case _:
            yield place, str(value)
