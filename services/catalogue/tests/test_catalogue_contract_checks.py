from __future__ import annotations

from collections.abc import Callable

import pytest
from plaza.common.v1 import contract_pb2 as pb
from plaza_catalogue.domain.contract_checks import BadContract, check_contract


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
