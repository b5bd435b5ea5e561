from __future__ import annotations

from collections.abc import Callable

import pytest
from plaza.common.v1 import contract_pb2 as pb
from plaza_catalogue.domain.contract_checks import BadContract, check_contract
from plaza_catalogue.domain.contract_steps import built_fields


def test_a_sound_contract_passes(air_contract: pb.Contract) -> None:
    check_contract(air_contract)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda c: c.key.append("nope"), "contract.key[1]"),
        (lambda c: c.key.append("observed_at"), "contract.key[1]"),
        (lambda c: setattr(c.fields[0], "name", "file_row_number"), "contract.fields[0].name"),
        (lambda c: setattr(c.fields[1], "name", "year"), "contract.fields[1].name"),
        (lambda c: setattr(c.fields[1], "source_name", "YEAR"), "contract.fields[1].source_name"),
        (
            lambda c: setattr(c.steps[0].build_timestamp, "target", "pm2_5"),
            "contract.steps[0].build_timestamp.target",
        ),
        (
            lambda c: setattr(c.steps[0].build_timestamp, "hour", "pm2_5"),
            "contract.steps[0].build_timestamp.hour",
        ),
        (
            lambda c: setattr(c.steps[0].build_timestamp, "zone", "Asia/Nowhere"),
            "contract.steps[0].build_timestamp.zone",
        ),
        (
            lambda c: setattr(c.fields[1], "type", pb.FIELD_TYPE_STRING),
            "contract.steps[0].build_timestamp.month",
        ),
        (
            lambda c: setattr(c.steps[0].build_timestamp, "zone", ""),
            "contract.steps[0].build_timestamp.zone",
        ),
        (lambda c: setattr(c.rules[2].range, "field", "observed_at"), "contract.rules[2].range.field"),
        (lambda c: setattr(c.rules[2].range, "maximum", -1), "contract.rules[2].range.maximum"),
        (lambda c: c.rules[2].range.ClearField("minimum"), "contract.rules[2].range"),
        (lambda c: setattr(c.rules[1], "id", "once"), "contract.rules[1].id"),
        (lambda c: c.rules[0].unique.fields.append("gone"), "contract.rules[0].unique.fields[1]"),
    ],
)
def test_each_contradiction_names_its_place(
    air_contract: pb.Contract, change: Callable[[pb.Contract], object], place: str
) -> None:
    change(air_contract)
    with pytest.raises(BadContract) as raised:
        check_contract(air_contract)
    assert place in [v.field for v in raised.value.violations]
    assert raised.value.remedy


def station(*steps: pb.Step, key: tuple[str, ...] = ("id",)) -> pb.Contract:
    types = {
        "station": pb.FIELD_TYPE_STRING,
        "day": pb.FIELD_TYPE_DATE,
        "seen": pb.FIELD_TYPE_TIMESTAMP,
        "count": pb.FIELD_TYPE_INTEGER,
        "temp": pb.FIELD_TYPE_NUMBER,
        "id": pb.FIELD_TYPE_STRING,
    }
    contract = pb.Contract(fields=[pb.Field(name=n, type=t) for n, t in types.items()], key=key)
    contract.fields[4].unit = "°F"
    contract.steps.extend(steps)
    return contract


def parse_time(field: str, *formats: str, zone: str = "") -> pb.Step:
    return pb.Step(parse_time=pb.ParseTime(field=field, formats=formats, zone=zone))


def build_key(*parts: str, separator: str = "|", target: str = "id", name: str = "") -> pb.Step:
    key = pb.BuildKey(target=target, parts=parts, separator=separator)
    return pb.Step(name=name, build_key=key)


def convert_unit(**parts: str) -> pb.Step:
    return pb.Step(convert_unit=pb.ConvertUnit(**parts))


def map_codes(field: str, *texts: str) -> pb.Step:
    pairs = [pb.CodeMapping(text=text) for text in texts]
    return pb.Step(map_codes=pb.MapCodes(field=field, codes=pairs))


def keep_latest(field: str) -> pb.Step:
    return pb.Step(keep_latest=pb.KeepLatest(field=field))


def test_every_kind_of_step_passes() -> None:
    contract = station(
        pb.Step(name="trim-all", trim=pb.Trim()),
        pb.Step(name="no-value", map_missing=pb.MapMissing(tokens=["NA"], fields=["count", "temp"])),
        map_codes("station", "a", "b"),
        parse_time("day", "%Y年%-m月%-d日", "%Y-%m-%d 00:00:00"),
        parse_time("seen", "%Y%m%d%H%M%S", zone="Asia/Shanghai"),
        convert_unit(field="temp", from_unit="°C", to_unit="°F", factor="9", divisor="5", offset="32"),
        build_key("station", "day", "count"),
        keep_latest("seen"),
    )
    check_contract(contract)
    assert built_fields(contract) == {"id"}


ONE = "contract.steps[0]"


@pytest.mark.parametrize(
    ("steps", "place"),
    [
        ([pb.Step(trim=pb.Trim(fields=["day", "gone"]))], f"{ONE}.trim.fields[1]"),
        ([pb.Step(map_missing=pb.MapMissing(fields=["gone"]))], f"{ONE}.map_missing.fields[0]"),
        ([map_codes("gone", "a")], f"{ONE}.map_codes.field"),
        ([map_codes("station", "a", "b", "a")], f"{ONE}.map_codes.codes[2].text"),
        ([map_codes("id", "a"), build_key("day", "count")], f"{ONE}.map_codes.field"),
        ([parse_time("station", "%Y%m%d")], f"{ONE}.parse_time.field"),
        ([parse_time("day", "%Y-%m")], f"{ONE}.parse_time.formats[0]"),
        ([parse_time("day", "%Y-%m-%d", "%y-%m-%d")], f"{ONE}.parse_time.formats[1]"),
        ([parse_time("day", "%Y-%m-%d %H:%M")], f"{ONE}.parse_time.formats[0]"),
        ([parse_time("day", "%Y-%m-%d", zone="UTC")], f"{ONE}.parse_time.zone"),
        ([parse_time("seen", "%Y-%m-%d %H:%M")], f"{ONE}.parse_time.zone"),
        ([parse_time("seen", "%Y-%m-%d %H:%M", zone="Mars")], f"{ONE}.parse_time.zone"),
        ([parse_time("day", "%Y%m%d")] * 2, "contract.steps[1].parse_time.field"),
        ([convert_unit(field="day")], f"{ONE}.convert_unit.field"),
        ([convert_unit(field="count", factor="0.00")], f"{ONE}.convert_unit.factor"),
        ([convert_unit(field="count", divisor="0")], f"{ONE}.convert_unit.divisor"),
        ([convert_unit(field="count", offset="1/2")], f"{ONE}.convert_unit.offset"),
        ([convert_unit(field="temp", to_unit="K")], f"{ONE}.convert_unit.to_unit"),
        ([build_key("station", "temp")], f"{ONE}.build_key.parts[1]"),
        ([build_key("station", "gone")], f"{ONE}.build_key.parts[1]"),
        ([build_key("station", "id")], f"{ONE}.build_key.parts[1]"),
        ([build_key("station", "day", separator="-")], f"{ONE}.build_key.separator"),
        ([build_key("station", "day", separator="||")], f"{ONE}.build_key.separator"),
        ([build_key("station", "day", target="count")], f"{ONE}.build_key.target"),
        ([build_key("station", "day")] * 2, "contract.steps[1].build_key.target"),
        (
            [build_key("station", "day", name="a"), pb.Step(name="a", trim=pb.Trim())],
            "contract.steps[1].name",
        ),
        ([keep_latest("station")], f"{ONE}.keep_latest.field"),
        ([keep_latest("seen"), keep_latest("day")], "contract.steps[1].keep_latest"),
        ([pb.Step(name="empty")], ONE),
    ],
)
def test_a_step_that_cannot_work_is_refused_at_its_place(steps: list[pb.Step], place: str) -> None:
    with pytest.raises(BadContract) as raised:
        check_contract(station(*steps))
    assert place in [v.field for v in raised.value.violations]


def test_keeping_the_latest_needs_a_key() -> None:
    with pytest.raises(BadContract, match="name the contract's key"):
        check_contract(station(keep_latest("seen"), key=()))
