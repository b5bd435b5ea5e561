from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from plaza_kit.tlog.leaf import NotCanonical, parse_canonical
from plaza_kit.tlog.merkle import leaf_hash
from plaza_security.domain.leaf import NewLeaf, UnusableEventData, new_leaf
from plaza_security.domain.projections import Agreement, MissingEventMember, grading_of

TIME = datetime(2026, 1, 2, tzinfo=UTC)


def leaf(data: object) -> NewLeaf:
    return new_leaf(
        event_id=UUID(int=7),
        type="city.plaza.catalogue.dataset.registered.v1",
        source="//plaza/catalogue",
        subject="departments/ecology/datasets/air",
        time=TIME,
        time_text="2026-01-02T00:00:00Z",
        data=data,
        principal="people/1",
    )


def test_a_leaf_says_exactly_the_event() -> None:
    made = leaf({"rows": 3, "title": "空气"})
    event = parse_canonical(made.text)
    assert set(event) == {"id", "type", "source", "subject", "time", "data", "principal"}
    assert event["data"] == {"rows": 3, "title": "空气"}
    assert made.hash == leaf_hash(made.text.encode())


@pytest.mark.parametrize("data", [{"score": 1.5}, {"n": 1 << 60}, {"deep": [{"x": 0.1}]}])
def test_fractions_and_great_numbers_are_refused(data: object) -> None:
    with pytest.raises(NotCanonical):
        leaf(data)


def test_data_must_be_an_object() -> None:
    with pytest.raises(UnusableEventData):
        leaf([1])


def test_an_unknown_level_counts_as_unclassified() -> None:
    data = {"department": "departments/ecology", "dataset": "air", "city_level": "Public!"}
    made = grading_of(data, "people/1", TIME)
    assert (made.dataset, made.city_level) == ("departments/ecology/datasets/air", "")
    with pytest.raises(MissingEventMember):
        grading_of({"department": "ecology"}, "people/1", TIME)


def test_an_agreement_covers_one_dataset_for_one_reader_while_in_force() -> None:
    dataset = "departments/ecology/datasets/air"
    agreement = Agreement("agreements/1", dataset, "ecology", "transport", "in_force", TIME)
    assert agreement.covers(dataset, "transport")
    assert not agreement.covers(dataset, "health")
    assert not agreement.covers(dataset + "x", "transport")
    ended = Agreement("agreements/1", dataset, "ecology", "transport", "revoked", TIME)
    assert not ended.covers(dataset, "transport")
