"""Showing gradings."""

from __future__ import annotations

from plaza_kit.db import Database
from plaza_kit.db.engine import Scope
from plaza_kit.errors import NotFound
from plaza_kit.policy import Resource

from plaza_security.domain.projections import Grading
from plaza_security.storage import projections
from plaza_security.usecases.authority import Authority


class NotGraded(NotFound):
    """No registration of this dataset has reached security."""


class Gradings:
    """The confirmed gradings."""

    def __init__(self, database: Database, authority: Authority) -> None:
        self._database = database
        self._authority = authority

    async def get(self, dataset: str) -> Grading:
        """The grading of a dataset, by the dataset's name. Raises NotPermitted, NotGraded."""
        self._authority.authorize("grading.read", Resource.of_dataset(dataset))
        async with self._database.transaction(Scope.everything()) as connection:
            found = await projections.grading(connection, dataset)
        if found is None:
            raise NotGraded(f"{dataset} has no grading", remedy="register the dataset; then ask again")
        return found
