"""Elements of an XML document one by one: no entities, no document type, no network, bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Protocol

from lxml import etree

from plaza_ingestion.worker.batches import OversizedFile, UnreadableFile

_BLOCK: Final = 1 << 16
_MOST_BYTES: Final = 16 << 20
"""Read since an element was forgotten."""


class Stream(Protocol):
    """What is read from."""

    def read(self, size: int = ..., /) -> bytes:
        """The next bytes, empty at the end."""


def local_name(element: Any) -> str:
    """The name without its namespace; empty for comments and the like."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


class Document:
    """One document read once. Whoever reads forgets the elements that are done with; what piles up is limited."""

    def __init__(self, stream: Stream, what: str) -> None:
        """`what`: the document in words, for errors."""
        self._stream = stream
        self._what = what
        self._held = 0
        self._checked = False

    def events(self) -> Iterator[tuple[str, Any]]:
        """(`start` or `end`, element) in document order. Raises `UnreadableFile`, `OversizedFile`."""
        parser = etree.XMLPullParser(
            events=("start", "end"),
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            huge_tree=False,
            remove_comments=True,
            remove_pis=True,
        )
        try:
            while block := self._stream.read(_BLOCK):
                parser.feed(block)
                self._held += len(block)
                yield from self._watched(parser)
                if self._held > _MOST_BYTES:
                    raise OversizedFile(
                        f"One element of {self._what} has more than {_MOST_BYTES} bytes.",
                        remedy="Declare the element that repeats as the record path, or send smaller records.",
                    )
            parser.close()
            yield from self._watched(parser)
        except etree.XMLSyntaxError as error:
            raise UnreadableFile(
                f"The XML of {self._what} cannot be read in line {error.lineno}: {error.msg}.",
                remedy="Check that the file was written and sent completely, and correct this place.",
                facts={"line": str(error.lineno)},
            ) from error

    def elements(self, name: str) -> Iterator[Any]:
        """Each whole element of this local name; it is gone when the next one is asked for."""
        for event, element in self.events():
            if event == "end" and local_name(element) == name:
                yield element
                self.forget(element)

    def forget(self, element: Any) -> None:
        """Frees an element and what stands before it."""
        self._held = 0
        element.clear()
        parent = element.getparent()
        if parent is not None:
            while element.getprevious() is not None:
                del parent[0]

    def _watched(self, parser: Any) -> Iterator[tuple[str, Any]]:
        for event, element in parser.read_events():
            if not self._checked:
                _refuse_document_type(element, self._what)
                self._checked = True
            yield event, element


def _refuse_document_type(element: Any, what: str) -> None:
    if element.getroottree().docinfo.doctype:
        raise UnreadableFile(
            f"The XML of {what} has a document type (DOCTYPE), which may define entities.",
            remedy="Remove the DOCTYPE: data needs none.",
        )
