"""A file that comes as a stream of messages: header, chunks, end; kept in memory, so it must be small."""

from __future__ import annotations

from collections.abc import AsyncIterator

from plaza.catalogue.v1 import catalogue_pb2 as pb
from plaza_kit.errors import InvalidArgument, ResourceExhausted
from plaza_kit.rpc.guard import validate

MAX_BYTES = 20 * 1024 * 1024


class OutOfTurn(InvalidArgument):
    """The first message must be the header, the last the end, all others chunks."""


class CutOff(InvalidArgument):
    """The stream ended before the sender said that it had sent everything."""


class EmptyFile(InvalidArgument):
    """The file has no bytes."""


class FileTooLarge(ResourceExhausted):
    """A directory spreadsheet is small; this is something else."""


async def header_of(messages: AsyncIterator[pb.ImportDirectoryRequest]) -> pb.ImportDirectoryHeader:
    """Raises OutOfTurn, InvalidRequest."""
    first = await anext(messages, None)
    if first is None:
        raise OutOfTurn("the stream ended before the header", remedy="send the header first")
    validate(first)
    if first.WhichOneof("part") != "header":
        raise OutOfTurn("the first message is not the header", remedy="send the header first")
    return first.header


async def bytes_of(messages: AsyncIterator[pb.ImportDirectoryRequest]) -> bytes:
    """What comes behind the header. Raises OutOfTurn, CutOff, EmptyFile, FileTooLarge."""
    data = bytearray()
    ended = False
    async for message in messages:
        if ended or message.WhichOneof("part") == "header":
            raise OutOfTurn("a part came behind the end, or a second header", remedy="send one file a stream")
        validate(message)
        if message.WhichOneof("part") == "end":
            if message.end.size_bytes != len(data):
                raise _cut_off(f"{len(data)} bytes came, {message.end.size_bytes} were sent")
            ended = True
            continue
        if len(data) + len(message.chunk) > MAX_BYTES:
            raise FileTooLarge(
                f"the file is larger than {MAX_BYTES:,} bytes",
                remedy="leave out pictures and other sheets, or split it; every part holds whole datasets",
                facts={"limit": str(MAX_BYTES)},
            )
        data += message.chunk
    if not ended:
        # A server may see the end of a stream before it hears that the call was cancelled.
        raise _cut_off(f"the file was cut off after {len(data)} bytes")
    if not data:
        raise EmptyFile("the file is empty", remedy="send a spreadsheet with headings and rows")
    return bytes(data)


def _cut_off(text: str) -> CutOff:
    return CutOff(text, remedy="send the file again")
