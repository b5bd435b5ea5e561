"""A file that comes as a client stream: a header, chunks, and the end that makes it whole (ADR 0011)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from plaza_kit.errors import InvalidArgument, ResourceExhausted
from plaza_kit.rpc.guard import validate


class OutOfTurn(InvalidArgument):
    """The first message must be the header, the last the end, all others chunks."""


class CutOff(InvalidArgument):
    """The stream ended before the sender said that it had sent everything."""


class EmptyFile(InvalidArgument):
    """The file has no bytes."""


class FileTooLarge(ResourceExhausted):
    """The file is larger than is taken here."""

    def __init__(self, file: str, limit: int, remedy: str) -> None:
        super().__init__(f"{file} is larger than {limit:,} bytes", remedy=remedy, facts={"limit": str(limit)})


async def header_of(messages: AsyncIterator[Any]) -> Any:
    """The header, which decides who may send and whereto. Raises OutOfTurn, InvalidRequest."""
    first = await anext(messages, None)
    if first is None:
        raise OutOfTurn("the stream ended before the header", remedy="send the header first")
    validate(first)
    if first.WhichOneof("part") != "header":
        raise OutOfTurn("the first message is not the header", remedy="send the header first")
    return first.header


async def chunks_of(
    messages: AsyncIterator[Any], *, file: str, limit: int, smaller: str
) -> AsyncIterator[bytes]:
    """What comes behind the header; whoever reads to the end has the whole file, of at most `limit` bytes.

    `file`: what to call it; `smaller`: what to do about a larger one.
    Raises OutOfTurn, CutOff, EmptyFile, FileTooLarge, InvalidRequest.
    """
    size, ended = 0, False
    async for message in messages:
        validate(message)
        if ended or message.WhichOneof("part") == "header":
            raise OutOfTurn("a part came behind the end, or a second header", remedy="send one file a stream")
        if message.WhichOneof("part") == "end":
            if message.end.size_bytes != size:
                raise _cut_off(f"{size} bytes of {file} came, {message.end.size_bytes} were sent")
            ended = True
            continue
        size += len(message.chunk)
        if size > limit:
            raise FileTooLarge(file, limit, smaller)
        yield message.chunk
    if not ended:
        # A server may see the end of a stream before it hears that the call was cancelled.
        raise _cut_off(f"{file} was cut off after {size} bytes")
    if not size:
        raise EmptyFile(f"{file} is empty", remedy="send a file with a heading and rows")


def _cut_off(text: str) -> CutOff:
    return CutOff(text, remedy="send it again")
