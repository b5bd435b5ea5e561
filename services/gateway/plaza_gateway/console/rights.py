"""Which ways a page offers to whom. The services decide (their policy is the same as these lists, or stricter):
whoever comes by another way is refused there, and the page says so.
"""

from __future__ import annotations

from plaza_gateway.console.views import Person

_KEEPERS = {"data-officer", "steward"}
_OVERSIGHT = {"auditor", "city-administrator"}


def sees_sources(person: Person) -> bool:
    """Policy action `source.read`."""
    return bool((_KEEPERS | _OVERSIGHT) & set(person.roles))


def keeps_sources(person: Person) -> bool:
    """Policy actions `source.manage` and `source-system.manage`, in the person's own department."""
    return bool(_KEEPERS & set(person.roles))


def keeps_code_lists(person: Person) -> bool:
    """Policy action `code-list.manage`."""
    return "city-administrator" in person.roles


def oversees(person: Person) -> bool:
    """Sees what all departments have: policy actions `work-order.read` and `health-report.read`, the city's too."""
    return bool(_OVERSIGHT & set(person.roles))


def works_on_orders(person: Person, department: str) -> bool:
    """Policy action `work-order.work`."""
    return department in person.departments and bool(_KEEPERS & set(person.roles))


def makes_reports(person: Person, *, city: bool) -> bool:
    """Policy action `health-report.create`, in the person's own department or for the city."""
    return "city-administrator" in person.roles or (not city and bool(_KEEPERS & set(person.roles)))
