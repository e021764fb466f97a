"""What processes write is kept, up to a bound, and cut where it is taken."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from treadle.functions.log import KEPT, LogPipe


def with_pipe(use: Callable[[LogPipe, int], None]) -> None:
    async def scenario() -> None:
        pipe = LogPipe(asyncio.get_running_loop())
        writer = os.dup(pipe.writer)
        pipe.started()
        try:
            use(pipe, writer)
        finally:
            os.close(writer)
            pipe.close()

    asyncio.run(scenario())


def test_what_was_written_is_there_at_once_and_only_once() -> None:
    def use(pipe: LogPipe, writer: int) -> None:
        os.write(writer, b"one\n")
        assert pipe.take() == "one\n"
        assert pipe.take() == ""
        os.write(writer, "zwei ✓ \n".encode() + b"\xff")
        assert pipe.take() == "zwei ✓ \n\ufffd"

    with_pipe(use)


def test_the_newest_part_of_a_long_log_is_kept() -> None:
    async def scenario() -> None:
        pipe = LogPipe(asyncio.get_running_loop())
        whole = b"".join(b"%07d\n" % number for number in range(KEPT // 4))
        # Larger than a pipe holds, so the loop reads while another thread writes.
        await asyncio.to_thread(
            lambda: [os.write(pipe.writer, whole[at : at + 4096]) for at in range(0, len(whole), 4096)]
        )
        pipe.started()
        assert pipe.take().encode() == whole[-KEPT:]
        pipe.close()

    asyncio.run(scenario())


def test_what_was_written_before_the_end_can_be_taken_after_it() -> None:
    async def scenario() -> None:
        pipe = LogPipe(asyncio.get_running_loop())
        os.write(pipe.writer, b"last words")
        pipe.started()
        pipe.close()
        assert pipe.take() == "last words"

    asyncio.run(scenario())
