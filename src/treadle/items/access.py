"""Who may reach which bucket, and the threads that do it.

The S3 client is made when the first bucket of S3 is asked for, and not before: boto3 takes its time to load. Work in
threads is bounded, and so are the connections.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from treadle.items.folder import Folder, folder_of
from treadle.items.objects import Bucket, Fault
from treadle.items.s3 import S3Bucket, S3Client, client_from_environment

T = TypeVar("T")

CONCURRENCY: Final = 16
"""How many reads and writes may be under way at once, of all map runs: so many lanes there are."""


class Access:
    """Finds buckets by name and runs work on them in threads.

    `s3` makes the client, with whatever region and credentials it shall have; the environment's, unless given.
    `folders` are the folders below which `file:` URLs may point; anywhere, unless given.
    """

    def __init__(
        self,
        s3: Callable[[], S3Client] | None = None,
        folders: Sequence[Path] | None = None,
        concurrency: int = CONCURRENCY,
    ) -> None:
        self._make = s3 or partial(client_from_environment, concurrency)
        self._folders = None if folders is None else [each.resolve() for each in folders]
        self._lanes = [Lane() for _ in range(concurrency)]
        self._lock = threading.Lock()
        self._client: S3Client | None = None

    def bucket(self, name: str, owner: str | None = None) -> Bucket:
        """The bucket of that name, or the folder of that `file:` URL. Raises Fault. Call it in a thread."""
        if not name.startswith("file:"):
            return S3Bucket(self._s3(), name, owner)
        if owner is not None:
            raise Fault(f"{name}: a folder has no owner; leave ExpectedBucketOwner out")
        folder = folder_of(name).resolve()
        if self._folders is not None and not any(folder.is_relative_to(each) for each in self._folders):
            raise Fault(f"{name}: lies outside the folders that workflows may use")
        return Folder(name)

    @contextmanager
    def lane(self) -> Generator[Lane]:
        """A thread for what is done one after the other: all of one data set, all results of one map run.

        The allocator keeps what each thread has once needed. On one thread that is little, and soon all of it; on
        whichever is free it would be so much for every one.
        """
        lane = min(self._lanes, key=lambda each: each.users)
        lane.users += 1
        try:
            yield lane
        finally:
            lane.users -= 1

    async def close(self) -> None:
        """Let go of threads and connections. What runs is waited for."""
        for lane in self._lanes:
            await lane.close()
        if self._client is not None:
            self._client.close()

    def _s3(self) -> S3Client:
        with self._lock:
            if self._client is None:
                self._client = self._make()
            return self._client


class Lane:
    """A thread, and how many use it: they wait for each other."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="items")
        self.users = 0

    async def run(self, work: Callable[[], T]) -> T:
        """The work's result. When cancelled it waits for the work to end: nothing that it uses may be touched
        before."""
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            while not future.done():
                try:
                    await asyncio.wait([future])
                except asyncio.CancelledError:
                    continue
            future.exception()  # looked at, so that asyncio does not report it as lost
            raise

    async def close(self) -> None:
        """Let the thread end. What runs is waited for."""
        await asyncio.to_thread(self._pool.shutdown)
