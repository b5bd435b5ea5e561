"""A file as a client stream: whole, or an error that says what is missing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plaza.ingestion.v1 import ingestion_pb2 as pb
from plaza_kit.rpc.file_stream import CutOff, EmptyFile, FileTooLarge, OutOfTurn, chunks_of, header_of
from plaza_kit.rpc.guard import InvalidRequest

HEADER = pb.UploadFileRequest(header=pb.UploadHeader(parent="departments/ecology", file_name="a.csv"))
LIMIT = 10_000


def chunk(size: int) -> pb.UploadFileRequest:
    return pb.UploadFileRequest(chunk=b"x" * size)


def end(size: int) -> pb.UploadFileRequest:
    return pb.UploadFileRequest(end=pb.UploadEnd(size_bytes=size))


async def received(*messages: pb.UploadFileRequest) -> bytes:
    async def stream() -> AsyncIterator[pb.UploadFileRequest]:
        for message in messages:
            yield message

    coming = stream()
    header = await header_of(coming)
    pieces = chunks_of(coming, file=header.file_name, limit=LIMIT, smaller="split it")
    return b"".join([piece async for piece in pieces])


@given(st.lists(st.integers(1, 900), min_size=1, max_size=10))
async def test_a_whole_file_is_its_chunks_one_after_the_other(sizes: list[int]) -> None:
    messages = [pb.UploadFileRequest(chunk=bytes([at]) * size) for at, size in enumerate(sizes)]
    expected = b"".join(message.chunk for message in messages)
    assert await received(HEADER, *messages, end(sum(sizes))) == expected


@pytest.mark.parametrize(
    ("error", "messages"),
    [
        (OutOfTurn, []),
        (OutOfTurn, [chunk(1)]),
        (OutOfTurn, [HEADER, chunk(1), HEADER]),
        (OutOfTurn, [HEADER, chunk(1), end(1), chunk(1)]),
        (OutOfTurn, [HEADER, chunk(1), end(1), end(1)]),
        (CutOff, [HEADER, chunk(1)]),
        (CutOff, [HEADER, chunk(1), end(2)]),
        (CutOff, [HEADER, chunk(2), end(1)]),
        (EmptyFile, [HEADER, end(0)]),
        (FileTooLarge, [HEADER, chunk(LIMIT), chunk(1), end(LIMIT + 1)]),
        (InvalidRequest, [pb.UploadFileRequest(header=pb.UploadHeader(parent="nobody", file_name="a"))]),
        (InvalidRequest, [HEADER, pb.UploadFileRequest()]),
        (InvalidRequest, [HEADER, chunk(1024 * 1024 + 1)]),
    ],
)
async def test_what_is_not_whole_is_refused(
    error: type[Exception], messages: list[pb.UploadFileRequest]
) -> None:
    with pytest.raises(error):
        await received(*messages)
