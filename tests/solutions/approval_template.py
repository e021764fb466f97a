"""The template of the approval solution, read as data: `TEMPLATE`, and its resources as `SAM`."""

from __future__ import annotations

from typing import Any

import yaml

from treadle.solutions.approval import FOLDER


class Loader(yaml.SafeLoader):
    """Reads short tags as what they hold."""


def tagged(loader: Any, suffix: str, node: Any) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return f"!{suffix} {node.value}"
    return loader.construct_sequence(node, deep=True)


Loader.add_multi_constructor("!", tagged)
TEMPLATE = yaml.load((FOLDER / "template.yaml").read_text(), Loader)
SAM = TEMPLATE["Resources"]
