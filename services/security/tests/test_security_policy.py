"""The policies against a table that was written without looking at them."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import cedarpy
import pytest
from plaza_kit.identity import Principal, PrincipalKind
from plaza_kit.policy import Decider, Resource
from plaza_security.domain.bundle import Bundle, packaged_policies

POLICIES, SCHEMA = packaged_policies()


def who(kind: str, departments: str = "", roles: str = "", client: str = "plaza-cli") -> Principal:
    return Principal(
        subject=f"{kind}-{departments}-{roles}",
        username="u",
        display_name="u",
        kind=PrincipalKind(kind),
        departments=frozenset(departments.split()),
        roles=frozenset(roles.split()),
        client_id=client,
        token="",
        expires_at=datetime.now(UTC),
    )


WHO = {
    "officer": who("person", "ecology", "data-officer"),
    "steward": who("person", "ecology", "steward"),
    "reader": who("person", "ecology", "reader"),
    "member": who("person", "ecology"),
    "foreign-officer": who("person", "transport", "data-officer"),
    "foreign-steward": who("person", "transport", "steward"),
    "foreign-reader": who("person", "transport", "reader"),
    "homeless-officer": who("person", "", "data-officer"),
    "stranger": who("person"),
    "auditor": who("person", "", "auditor"),
    "admin": who("person", "", "city-administrator"),
    "machine": who("machine", "ecology", "department-machine", "ecology-worker"),
    "foreign-machine": who("machine", "transport", "department-machine", "transport-worker"),
    "mighty-machine": who("machine", "ecology", "data-officer city-administrator auditor", "odd"),
    "quality": who("service", "", "plaza-service", "plaza-quality"),
    "open-data": who("service", "", "plaza-service", "plaza-open-data"),
    "supervisor": who("service", "", "plaza-service", "plaza-supervisor"),
}
SERVICES = "quality open-data supervisor"
OWN = "officer steward reader member machine mighty-machine"
FOREIGN = "foreign-officer foreign-steward foreign-reader foreign-machine"
DIRECTORY = f"{OWN} {FOREIGN} auditor admin {SERVICES}"
SYSTEM = Resource.system()
DEPARTMENT = Resource.of_department("ecology")
LEVELS = ("", "public", "internal", "sensitive", "core")
CLASSES = ("", "unconditional", "conditional", "not_shared")
DATASETS = [
    Resource.of_dataset("departments/ecology/datasets/air", city_level=level, sharing_class=sharing)
    for level in LEVELS
    for sharing in CLASSES
]
TABLE = {
    "directory.read": ("System", DIRECTORY),
    "contract.draft": (
        "System",
        "officer steward foreign-officer foreign-steward homeless-officer admin",
    ),
    "department.create": ("System", "admin supervisor"),
    "department.manage": ("Department", "admin supervisor"),
    "dataset.create": ("Department", "officer"),
    "dataset.update": ("Dataset", "officer steward"),
    "contract.adopt": ("Dataset", "officer"),
    "code-list.manage": ("System", "admin"),
    "source.read": ("Department", "officer steward machine auditor admin"),
    "source.manage": ("Department", "officer steward"),
    "source-system.manage": ("Department", "officer steward"),
    "upload.create": ("Department", "officer steward machine"),
    "infer.start": ("Department", "officer steward machine"),
    "load.start": ("Dataset", "officer steward machine"),
    "run.read": ("Department", f"{OWN} auditor admin"),
    "quarantine.read": ("Dataset", "officer steward"),
    "assessment.run": ("Dataset", "officer steward"),
    "score.read": ("System", f"{OWN} {FOREIGN} auditor admin"),
    "work-order.list": ("System", f"{OWN} {FOREIGN} auditor admin"),
    "work-order.read": ("Department", f"{OWN} auditor admin"),
    "work-order.work": ("Department", "officer steward"),
    "reconciliation.read": ("Department", f"{OWN} auditor admin"),
    "reconciliation.manage": ("Department", "officer steward"),
    "health-report.read": ("Department", f"{OWN} auditor admin"),
    "health-report.create": ("Department", "officer steward admin"),
    "work.lease": ("Department", "machine"),
    "work.list": ("System", "supervisor"),
    "agreement.read": ("System", f"{OWN} {FOREIGN} auditor"),
    "release.create": ("Dataset", "officer"),
    "release.withdraw": ("Dataset", "officer"),
    "release.read": ("System Dataset", DIRECTORY),
    "grading.read": ("Dataset", DIRECTORY),
    "ledger.read": ("System", "auditor admin"),
    "ledger.prove": ("System", SERVICES),
    "event.deliver": ("System", SERVICES),
    "bundle.read": ("System", SERVICES),
}


def assessment_readers(sharing: str) -> str:
    return f"{OWN} auditor admin" + ("" if sharing == "not_shared" else f" {FOREIGN}")


def row_readers(dataset: Resource, purpose: str, agreement: bool, reader: str) -> str:
    level = dataset.city_level
    shared = dataset.sharing_class == "unconditional" and level in ("public", "internal") and agreement
    match purpose:
        case "own":
            return "officer steward reader machine"
        case "quarantine":
            return "officer steward"
        case "share" if shared:
            return {"ecology": OWN, "transport": FOREIGN}.get(reader, "")
        case "assess" | "reconcile" if level:
            return "quality"
        case "release" if level == "public":
            return "open-data"
    return ""


@pytest.fixture(scope="module")
def decider() -> Decider:
    return Decider(POLICIES, SCHEMA, version="test")


def allowed(decider: Decider, action: str, resource: Resource, facts: dict[str, object] | None = None) -> set:
    return {name for name, person in WHO.items() if decider.decide(person, action, resource, facts).allowed}


def test_policies_fit_the_schema_and_every_one_has_an_id() -> None:
    result = cedarpy.validate_policies(POLICIES, SCHEMA)
    assert result.validation_passed, result.errors
    heads = POLICIES.count("\npermit (") + POLICIES.count("\nforbid (")
    assert POLICIES.count('@id("') == heads > 20


@pytest.mark.parametrize("action", sorted(TABLE))
def test_no_door_is_open_that_the_table_does_not_name(decider: Decider, action: str) -> None:
    types, names = TABLE[action]
    for resource in (SYSTEM, DEPARTMENT, *DATASETS):
        expected = set(names.split()) if resource.type in types.split() else set()
        assert allowed(decider, action, resource) == expected, resource


def test_the_machine_of_helm_test_opens_data_in_its_own_department_alone(decider: Decider) -> None:
    test, other = "plaza-test", "ecology"
    own = who("machine", test, "department-machine", "plaza-test-worker")
    strangers = (
        WHO["machine"],
        WHO["supervisor"],
        who("machine", test, "department-machine", "ecology-worker"),
        who("machine", other, "department-machine", "plaza-test-worker"),
        who("person", test, "department-machine", "plaza-test-worker"),
        who("machine", test, "", "plaza-test-worker"),
    )

    def may(principal: Principal, department: str) -> set[str]:
        dataset = Resource.of_dataset(f"departments/{department}/datasets/installation", city_level="public")
        asked = {
            "dataset.create": Resource.of_department(department),
            **dict.fromkeys(
                ("release.create", "release.withdraw", "dataset.update", "contract.adopt"), dataset
            ),
        }
        return {
            action for action, what in asked.items() if decider.decide(principal, action, what, None).allowed
        }

    assert may(own, test) == {"dataset.create", "release.create", "release.withdraw"}
    assert may(own, other) == set()
    for stranger in strangers:
        assert may(stranger, test) == set(), stranger


def test_assessments_are_shown_unless_the_dataset_is_not_shared(decider: Decider) -> None:
    for resource in DATASETS:
        expected = set(assessment_readers(resource.sharing_class).split())
        assert allowed(decider, "assessment.read", resource) == expected, resource
        assert allowed(decider, "gate.read", resource) == expected | set(SERVICES.split()), resource
    assert not allowed(decider, "assessment.read", DEPARTMENT)


@pytest.mark.parametrize(
    "purpose", ["own", "share", "assess", "reconcile", "release", "quarantine", "", "curiosity"]
)
def test_rows(decider: Decider, purpose: str) -> None:
    for resource, agreement, reader in itertools.product(
        DATASETS, (True, False), ("", "ecology", "transport", "health")
    ):
        facts = {"purpose": purpose, "agreement": agreement, "reader": reader}
        expected = set(row_readers(resource, purpose, agreement, reader).split())
        assert allowed(decider, "rows.read", resource, facts) == expected, (resource, facts)


def test_the_schema_knows_no_action_beside_the_tables() -> None:
    declared = {line.split('"')[1] for line in SCHEMA.splitlines() if line.strip().startswith("action ")}
    assert declared == {*TABLE, "assessment.read", "gate.read", "rows.read"}


def test_an_unknown_action_and_a_missing_fact_are_refused(decider: Decider) -> None:
    assert not allowed(decider, "dataset.destroy", DATASETS[0])
    assert not allowed(decider, "rows.read", DATASETS[0], {"purpose": "own"})


def test_etag_changes_with_the_denied() -> None:
    bundle = Bundle(POLICIES, SCHEMA, frozenset())
    denied = Bundle(POLICIES, SCHEMA, frozenset({"x"}))
    assert bundle.version == denied.version
    assert bundle.etag != denied.etag
