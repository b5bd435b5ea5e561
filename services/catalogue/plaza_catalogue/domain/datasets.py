"""A directory item: what it takes to register one, which fields may change, what changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import orjson
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import MessageToDict
from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza.common.v1 import contract_pb2, grades_pb2
from plaza_kit.errors import FieldViolation, InvalidArgument

from plaza_catalogue.domain import updates
from plaza_catalogue.domain.contract_checks import check_contract
from plaza_catalogue.domain.updates import NotUpdatable, is_set, paths_of

UPDATABLE = (
    "display_name",
    "display_name_en",
    "category",
    "code",
    "description",
    "description_en",
    "format",
    "opening",
    "update_cycle",
    "related_codes",
    "licence",
    "keywords",
    "source_system",
)
"""Directory fields that an update may change."""
CONFIRMED = ("contract", "city_level", "sharing")
"""Fields that the data officer confirmed together; an update does not touch them."""
_OPENING = ("opening.allowed", "opening.condition")
_IGNORED = frozenset(pb.Dataset.DESCRIPTOR.fields_by_name) - {*UPDATABLE, *CONFIRMED}


class IncompleteDataset(InvalidArgument):
    """Something that must be confirmed with a registration is not there."""


def check_new(dataset: pb.Dataset) -> None:
    """Raises IncompleteDataset naming each missing field and BadContract where the contract is wrong."""
    missing = tuple(_missing(dataset))
    if missing:
        raise IncompleteDataset(
            f"{missing[0].field}: {missing[0].description}",
            remedy="the data officer sets contract, city_level and sharing.class together when registering",
            violations=missing,
        )
    check_contract(dataset.contract, "dataset.contract")


def _missing(dataset: pb.Dataset) -> Iterator[FieldViolation]:
    if not dataset.HasField("contract"):
        yield FieldViolation(
            "dataset.contract", "is missing: draft one from a sample file or send an ODCS document"
        )
    if dataset.city_level == grades_pb2.CITY_LEVEL_UNSPECIFIED:
        yield FieldViolation("dataset.city_level", "is missing: choose public, internal, sensitive or core")
    sharing = getattr(dataset.sharing, "class")
    if sharing == grades_pb2.SHARING_CLASS_UNSPECIFIED:
        yield FieldViolation(
            "dataset.sharing.class", "is missing: choose unconditional, conditional or not shared"
        )
    if sharing == grades_pb2.SHARING_CLASS_NOT_SHARED and not dataset.sharing.condition.strip():
        yield FieldViolation(
            "dataset.sharing.condition", "must cite the law or decision that forbids sharing"
        )


def update_paths(mask: FieldMask, given: pb.Dataset, current: pb.Dataset) -> tuple[str, ...]:
    """The paths to change, each an updatable field. Raises NotUpdatable.

    An empty mask means every updatable field that is set (AIP-134); then confirmed fields may come along
    unchanged, as they do after a read. Output-only fields are ignored (AIP-203).
    """
    if not mask.paths:
        _refuse([n for n in CONFIRMED if is_set(given, n) and getattr(given, n) != getattr(current, n)])
    _refuse([path for path in mask.paths if path.split(".")[0] in CONFIRMED])
    return paths_of(mask, given, UPDATABLE, parts=_OPENING, ignored=_IGNORED)


def _refuse(paths: Sequence[str]) -> None:
    if paths:
        raise NotUpdatable(
            f"update_mask: {paths[0]!r} cannot be changed by an update",
            remedy="contract, grade and sharing class are confirmed by the data officer and have ways of their own",
            violations=tuple(FieldViolation("update_mask", f"{p!r} cannot be changed here") for p in paths),
        )


def changed_fields(before: pb.Dataset, after: pb.Dataset) -> list[str]:
    """Names of the directory fields that differ, in the order of the directory."""
    return updates.changed_fields(UPDATABLE, before, after)


def directory_part(dataset: pb.Dataset) -> pb.Dataset:
    """Only what a metadata version holds: directory fields, grade and sharing; neither contract nor output."""
    return updates.part(dataset, [*UPDATABLE, "city_level", "sharing"])


def made_code(provider_code: str, sequence: int) -> str:
    """A directory code: class 3 (by department), item 00, entry 000, detail (the provider), `/`, sequence.

    《政务信息资源目录编制指南（试行）》, annex on codes; item and entry 0 mean "not classified yet".
    """
    return f"300000{provider_code[:40]}/{sequence:06d}"


def contract_sha256(contract: contract_pb2.Contract) -> str:
    """Hex SHA-256 of the contract's JSON with sorted keys and proto field names."""
    data = MessageToDict(contract, preserving_proto_field_name=True)
    return hashlib.sha256(orjson.dumps(data, option=orjson.OPT_SORT_KEYS)).hexdigest()
