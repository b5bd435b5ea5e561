"""`plaza department …`, `plaza source-system …` and `plaza code-list …` against a gateway in this process."""

from __future__ import annotations

import json
from typing import Any

City = Any
"""The fixture's class lives in conftest, which tests do not import."""
SYSTEMS = "/api/v1/departments/ecology/sourceSystems"
WATER = {
    "name": "departments/ecology/sourceSystems/water",
    "displayName": "智慧水务平台",
    "class": "SOURCE_SYSTEM_CLASS_PUBLIC_SERVICE",
    "state": "SOURCE_SYSTEM_STATE_ACTIVE",
    "etag": "abc",
}
LIST = {
    "name": "codeLists/gb-t-3304/versions/1991",
    "displayName": "民族",
    "standard": "GB/T 3304",
    "codeCount": 56,
    "sha256": "ab" * 32,
    "shipped": True,
}
DEPARTMENTS = "/api/v1/departments"
ECOLOGY = {
    "name": "departments/ecology",
    "displayName": "生态环境局",
    "datasetCount": 3,
    "state": "DEPARTMENT_STATE_ACTIVE",
    "etag": "abc",
}


def test_a_department_is_listed_shown_and_changed(city: City) -> None:
    city.logged_in()
    city.answer(f"GET {DEPARTMENTS}", {"departments": [ECOLOGY]})
    line = city.run("department", "list", "--archived").stdout.splitlines()[-1]
    assert line.split() == ["ecology", "生态环境局", "3", "active"]
    assert dict(city.asked(DEPARTMENTS)[-1].url.params)["showArchived"] == "true"
    city.answer(f"GET {DEPARTMENTS}/ecology", ECOLOGY)
    version = {
        "version": 2,
        "author": "王敏",
        "differences": [{"field": "display_name", "oldValue": "环保局", "newValue": "生态环境局"}],
    }
    city.answer(f"GET {DEPARTMENTS}/ecology/metadataVersions", {"metadataVersions": [version]})
    shown = city.run("department", "show", "ecology")
    assert all(each in shown.stdout for each in ("生态环境局", "active", "王敏", "环保局")), shown.output
    city.answer(f"PATCH {DEPARTMENTS}/ecology", ECOLOGY)
    words = ("--title", "生态环境局", "--provider-code", "")
    assert city.run("department", "update", "ecology", *words).exit_code == 0
    assert city.sent(f"{DEPARTMENTS}/ecology") == {
        "displayName": "生态环境局",
        "providerCode": "",
        "etag": "abc",
    }
    assert dict(city.asked(f"{DEPARTMENTS}/ecology")[-1].url.params) == {
        "updateMask": "displayName,providerCode"
    }
    assert city.run("department", "update", "ecology").exit_code == 2
    assert city.run("department", "show", "No Such").exit_code == 2


def test_a_department_is_archived_and_comes_back(city: City) -> None:
    city.logged_in()
    city.answer(f"GET {DEPARTMENTS}/ecology", ECOLOGY)
    for method, state in (("archive", "ARCHIVED"), ("activate", "ACTIVE")):
        moved = {**ECOLOGY, "state": f"DEPARTMENT_STATE_{state}"}
        city.answer(f"POST {DEPARTMENTS}/ecology:{method}", moved)
        result = city.run("department", method, "ecology")
        assert result.stdout.strip() == f"ecology is {state.lower()}"
        assert city.sent(f"{DEPARTMENTS}/ecology:{method}") == {"etag": "abc"}


def test_a_system_is_added(city: City) -> None:
    city.logged_in()
    city.answer(f"POST {SYSTEMS}", WATER)
    words = ("--title", "智慧水务平台", "--class", "public-service", "--owner", "信息中心")
    result = city.run("source-system", "add", "ecology/water", *words)
    assert result.exit_code == 0, result.output
    assert city.sent(SYSTEMS) == {
        "displayName": "智慧水务平台",
        "class": "SOURCE_SYSTEM_CLASS_PUBLIC_SERVICE",
        "owner": "信息中心",
    }
    assert dict(city.asked(SYSTEMS)[-1].url.params) == {"sourceSystemId": "water"}
    assert "ecology/water" in result.stdout
    assert city.run("source-system", "show", "nonsense name").exit_code == 2


def test_systems_are_listed_and_shown(city: City) -> None:
    city.logged_in()
    city.answer(f"GET {SYSTEMS}", {"sourceSystems": [WATER]})
    result = city.run("source-system", "list", "--department", "ecology")
    assert all(
        each in result.stdout for each in ("ecology/water", "智慧水务平台", "public-service", "active")
    )
    city.answer("GET /api/v1/departments/-/sourceSystems", {})
    assert city.run("source-system", "list", "--all").exit_code == 0
    city.answer(f"GET {SYSTEMS}/water", WATER)
    version = {
        "version": 2,
        "author": "王敏",
        "differences": [{"field": "owner", "oldValue": "甲", "newValue": "乙"}],
    }
    city.answer(f"GET {SYSTEMS}/water/metadataVersions", {"metadataVersions": [version]})
    result = city.run("source-system", "show", "ecology/water")
    assert all(each in result.stdout for each in ("version 2", "王敏", "owner", "甲", "乙")), result.output


def test_a_system_is_retired_as_it_was_read(city: City) -> None:
    city.logged_in()
    city.answer(f"GET {SYSTEMS}/water", WATER)
    city.answer(f"POST {SYSTEMS}/water:retire", WATER)
    result = city.run("source-system", "retire", "ecology/water")
    assert city.sent(f"{SYSTEMS}/water:retire") == {"etag": "abc"}
    assert "ecology/water is retired" in result.stdout


def test_code_lists(city: City) -> None:
    city.logged_in()
    city.answer(
        "GET /api/v1/codeLists", {"codeLists": [{"name": "codeLists/gb-t-3304", "latestVersion": LIST}]}
    )
    result = city.run("code-list", "list")
    assert all(each in result.stdout for each in ("gb-t-3304", "1991", "GB/T 3304", "56", "民族"))
    city.answer("GET /api/v1/codeLists/gb-t-3304/versions", {"versions": [LIST]})
    result = city.run("code-list", "show", "gb-t-3304")
    assert all(each in result.stdout for each in ("ab" * 32, "shipped with Plaza", "1991"))
    city.answer("GET /api/v1/codeLists/gb-t-3304/versions/1991", LIST)
    result = city.run("code-list", "show", "gb-t-3304@1991", "--json")
    assert json.loads(result.stdout)["versions"] == [LIST["name"]]


def test_codes(city: City) -> None:
    city.logged_in()
    path = "/api/v1/codeLists/gb-t-2260/versions/a/codes"
    city.answer(f"GET {path}", {"codes": [{"code": "110101", "name": "东城区", "parent": "110100"}]})
    words = ("东城", "--prefix", "11", "--below", "110100", "--current", "--limit", "5")
    result = city.run("code-list", "codes", "gb-t-2260@a", *words)
    assert result.exit_code == 0, result.output
    assert "东城区" in result.stdout
    assert dict(city.asked(path)[-1].url.params) == {
        "pageSize": "5",
        "codePrefix": "11",
        "parentCode": "110100",
        "query": "东城",
        "currentOnly": "true",
    }
    assert city.run("code-list", "codes", "GB/T 2260").exit_code == 2
