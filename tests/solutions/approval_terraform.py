"""The Terraform module of the approval solution, read as data: `resource("aws_sns_topic", "stakeholders")`.

Functions of Terraform that stand around whole values are worked out where they only encode (jsonencode). References
stay what they are, as `${aws_sns_topic.stakeholders.arn}`.
"""

from __future__ import annotations

import re
from typing import Any

import hcl2
from hcl2.utils import SerializationOptions

from treadle.solutions.approval import FOLDER

FILES = sorted((FOLDER / "terraform").glob("*.tf"))
_OPTIONS = SerializationOptions(with_comments=False, explicit_blocks=False, strip_string_quotes=True)
_ENCODED = re.compile(r"\$\{jsonencode\((.*)\)\}", re.DOTALL)


def read(text: str) -> dict[str, Any]:
    return hcl2.loads(text, serialization_options=_OPTIONS)


def value(expression: str) -> Any:
    """What an expression is, such as the object within a call."""
    return read(f"x = {expression}\n")["x"]


def _plain(given: Any) -> Any:
    match given:
        case dict():
            return {str(name).strip('"'): _plain(each) for name, each in given.items()}
        case list():
            return [_plain(each) for each in given]
        case str() if found := _ENCODED.fullmatch(given):
            return _plain(value(found[1])) if found[1].startswith(("{", "[")) else given
        case _:
            return given


def _blocks(kind: str) -> list[dict[str, Any]]:
    return [_plain(each) for path in FILES for each in read(path.read_text()).get(kind, [])]


RESOURCES: dict[tuple[str, str], Any] = {
    (kind, name): body for each in _blocks("resource") for kind, named in each.items() for name, body in named.items()
}
DATA = {(kind, name) for each in _blocks("data") for kind, named in each.items() for name in named}
LOCALS: dict[str, Any] = {name: each for block in _blocks("locals") for name, each in block.items()}
OUTPUTS: dict[str, Any] = {name: body["value"] for each in _blocks("output") for name, body in each.items()}
VARIABLES: dict[str, Any] = {name: body for each in _blocks("variable") for name, body in each.items()}
FUNCTIONS: dict[str, Any] = LOCALS["functions"]


def one(body: dict[str, Any], *path: str) -> Any:
    """What stands in blocks within blocks, of each of which there is one."""
    for name in path:
        found = body[name]
        body = found[0] if isinstance(found, list) else found
    return body
