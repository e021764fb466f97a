"""Activities: names under which workers ask for tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from treadle.catalog.records import ACTIVITY, Activity, read, written
from treadle.errors import ApiError, Conflict
from treadle.language.scope import Json
from treadle.runtime.ports import Store


class Activities:
    """The activities of a store."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self._store, self._now = store, now

    async def create(self, arn: str, name: str, encryption: Mapping[str, Json], tags: Mapping[str, str]) -> Activity:
        """Create an activity, or find it. Raises ApiError ActivityAlreadyExists."""
        activity = Activity(arn=arn, name=name, created_at=self._now(), encryption=encryption, tags=dict(tags))

        def edit(before: Activity | None) -> Activity:
            if before is None:
                return activity
            if before.encryption != encryption:
                raise ApiError("ActivityAlreadyExists", f"Activity Already Exists: '{arn}'")
            return before

        return await self._change(arn, edit)

    async def get(self, arn: str) -> Activity:
        """An activity. Raises ApiError ActivityDoesNotExist."""
        activity = await self.find(arn)
        if activity is None:
            raise _missing(arn)
        return activity

    async def find(self, arn: str) -> Activity | None:
        """An activity, if there is one."""
        return read(await self._store.document(ACTIVITY, arn), Activity)

    async def listed(self, prefix: str, after: str, limit: int) -> list[Activity]:
        """Activities whose ARN begins with `prefix`, in the order of their ARNs."""
        documents = await self._store.documents(ACTIVITY, prefix, after, limit)
        return [each for document in documents if (each := read(document, Activity)) is not None]

    async def delete(self, arn: str) -> None:
        """Delete an activity; nothing happens when there is none."""
        while (document := await self._store.document(ACTIVITY, arn)).value is not None:
            try:
                await self._store.put_documents([written(document, None)])
            except Conflict:
                continue

    async def change(self, arn: str, edit: Callable[[Activity], Activity]) -> Activity:
        """Change an activity. Raises ApiError ActivityDoesNotExist, and what `edit` raises."""

        def present(before: Activity | None) -> Activity:
            if before is None:
                raise _missing(arn)
            return edit(before)

        return await self._change(arn, present)

    async def _change(self, arn: str, edit: Callable[[Activity | None], Activity]) -> Activity:
        while True:
            document = await self._store.document(ACTIVITY, arn)
            before = read(document, Activity)
            after = edit(before)
            if after is before:
                return after
            try:
                await self._store.put_documents([written(document, after)])
            except Conflict:
                continue
            return after


def _missing(arn: str) -> ApiError:
    return ApiError("ActivityDoesNotExist", f"Activity Does Not Exist: '{arn}'")
