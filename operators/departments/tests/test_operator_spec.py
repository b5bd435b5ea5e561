"""A Department read from its resource: everything bound to the name comes from the name alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza_operator.domain.errors import BadDepartment
from plaza_operator.domain.spec import DeletionPolicy, parse

NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,46}[a-z0-9])?", fullmatch=True)


def body(name: str, spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": "u", "generation": 1}, "spec": spec}


def test_ten_lines_are_a_department() -> None:
    found = parse(body("ecology", {"displayName": {"zh": "生态环境局"}}))
    assert (found.namespace, found.client_id, found.database_role) == (
        "dept-ecology",
        "ecology-worker",
        "dept_ecology",
    )
    assert found.deletion_policy is DeletionPolicy.RETAIN
    assert (found.quota.cpu, found.worker.max_replicas) == ("4", 1)


@pytest.mark.parametrize("name", ["Ecology", "1st", "a-", "a_b", "a.b", "", "a" * 49])
def test_a_name_that_cannot_be_part_of_addresses_is_refused(name: str) -> None:
    with pytest.raises(BadDepartment):
        parse(body(name, {"displayName": {"zh": "局"}}))


@pytest.mark.parametrize(
    "spec",
    [{}, {"displayName": "局"}, {"displayName": {"zh": "局"}, "deletionPolicy": "Keep"}, None],
)
def test_what_cannot_be_read_is_refused_in_our_words(spec: Any) -> None:
    with pytest.raises(BadDepartment):
        parse(body("ecology", spec))


@given(NAMES, NAMES)
def test_two_departments_never_meet_outside_kubernetes(one: str, other: str) -> None:
    first, second = (parse(body(n, {"displayName": {"zh": "局"}})) for n in (one, other))
    same = one == other
    assert (first.database_role == second.database_role) is same
    assert (first.namespace == second.namespace) is same
    assert (first.client_id == second.client_id) is same
    assert len(first.namespace) <= 63
    assert len(first.database_role) <= 63
