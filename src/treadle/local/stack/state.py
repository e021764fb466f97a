"""What is remembered of a stack between two starts: a file with every resource that was made.

Owns the file. It is replaced as a whole, flushed, after each resource, so that a kill loses at most the memory of one
that was made; making it again adopts it. Holds resolved properties, secrets among them: only the owner may read it.
When the endpoint is another one than the last time, addresses of resources move along; properties stay as they were, so
that whatever was made with an old address is seen to differ and is made anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import msgspec

from treadle.errors import Corrupt
from treadle.local.errors import TemplateError
from treadle.local.stack.made import Made


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """The content of the file. `resources` stand in the order in which they were made."""

    stack: str
    template: str
    endpoint: str = ""
    away: bool = False
    resources: tuple[Made, ...] = ()


class StateFile:
    """The file in a folder, and what it says."""

    def __init__(self, folder: Path, stack: str, template: Path, endpoint: str, *, away: bool = False) -> None:
        self.path = folder / "stack.json"
        self._stack, self._template, self._endpoint, self._away = stack, str(template), endpoint, away
        self._made: dict[str, Made] = {}
        before = read_state(folder)
        if before is not None:
            if before.away != away and before.resources:
                raise TemplateError(
                    f"{self.path}: this stack was brought to life with --aws {'env' if before.away else 'local'}: go "
                    "on with that, or name another --data."
                )
            self._made = {each.name: _moved(each, before.endpoint, endpoint) for each in before.resources}
            if before.endpoint != endpoint:
                self._write()

    def resources(self) -> list[Made]:
        """What there is, in the order in which it was made."""
        return list(self._made.values())

    def get(self, name: str) -> Made | None:
        """A resource by its name in the template."""
        return self._made.get(name)

    def put(self, made: Made) -> None:
        """Remember a resource."""
        self._made[made.name] = made
        self._write()

    def drop(self, name: str) -> None:
        """Forget a resource."""
        del self._made[name]
        self._write()

    def _write(self) -> None:
        kept = Remembered(
            stack=self._stack,
            template=self._template,
            endpoint=self._endpoint,
            away=self._away,
            resources=tuple(self._made.values()),
        )
        unfinished = self.path.with_suffix(".new")
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(kept), indent=1))
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(self.path)


def _moved(made: Made, old: str, new: str) -> Made:
    """A resource with its addresses below the new endpoint."""
    if not old or old == new:
        return made
    address = re.compile(re.escape(old) + r"(?=/|$)")

    def moved(value: Any) -> Any:
        return address.sub(new, value) if isinstance(value, str) else value

    attributes = {key: moved(value) for key, value in made.attributes.items()}
    return msgspec.structs.replace(made, id=moved(made.id), attributes=attributes)


def read_state(folder: Path) -> Remembered | None:
    """What is remembered in a folder; None where nothing is. Raises Corrupt."""
    path = folder / "stack.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Remembered)
    except FileNotFoundError:
        return None
    except (msgspec.MsgspecError, OSError) as error:
        raise Corrupt(f"{path}: cannot be read ({error}): put back the file, or begin with another --data.") from None
