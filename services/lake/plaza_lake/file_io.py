"""PyIceberg's way to its metadata: the same client as for data files, and S3's failures in our words."""

from __future__ import annotations

from typing import Any, Final
from weakref import WeakValueDictionary

from plaza_kit.objects.s3 import S3Store, s3_errors
from pyiceberg.io import InputStream
from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO
from pyiceberg.table import Table
from pyiceberg.typedef import Properties

from plaza_lake.files import Files

FILES: Final = "plaza.files"
_lakes: WeakValueDictionary[str, Files] = WeakValueDictionary()


def catalog_properties(files: Files) -> dict[str, str]:
    """By which PyIceberg, which makes a `FileIO` by its class's name, finds the files of this lake."""
    number = str(id(files))
    _lakes[number] = files
    return {"py-io-impl": f"{LakeFileIO.__module__}.{LakeFileIO.__name__}", FILES: number}


class LakeFileIO(PyArrowFileIO):
    """For all tables of a lake."""

    def __init__(self, properties: Properties) -> None:
        super().__init__()
        self.files = _lakes[properties[FILES]]
        """The lake's, for who has only a table at hand."""

    def new_input(self, location: str) -> PyArrowFile:
        """A file to be read."""
        scheme, netloc, path = self.parse_location(location, self.properties)
        return _Input(location, path, self.fs_by_scheme(scheme, netloc))

    def _initialize_s3_fs(self, netloc: str | None) -> Any:
        store = self.files.store
        assert isinstance(store, S3Store), "a lake's tables lie where its warehouse does"
        return store.filesystem


class _Input(PyArrowFile):
    def open(self, seekable: bool = True) -> InputStream:
        with s3_errors(self.location):
            return super().open(seekable)


def files_of(table: Table) -> Files:
    """Those of the lake that the table was loaded from."""
    assert isinstance(table.io, LakeFileIO), "tables are loaded by `Lake`"
    return table.io.files
