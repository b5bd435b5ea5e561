"""What the editor of contracts offers to choose from."""

from __future__ import annotations

from collections.abc import Mapping

from plaza_design.i18n import LocalText

from plaza_gateway.console.views import last
from plaza_gateway.console.visits import Visit


async def code_lists(visit: Visit) -> Mapping[str, LocalText]:
    """Ids of the code lists with their names."""
    return {
        last(each.name): LocalText(each.latest_version.display_name, each.latest_version.display_name_en)
        for each in await visit.desk.standards.lists()
    }
