"""The table of what a stack has. Owns its looks alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from treadle.language.scope import Json
from treadle.local.stack.made import Made

_BACKGROUND: Final = ("AWS::IAM::", "AWS::Lambda::Permission", "AWS::Lambda::Version", "AWS::CDK::")
_SUPPORT: Final = {
    "works": "",
    "accepted": "no effect",
    "moto": "by moto",
    "stub": "a name only",
    "existing": "on AWS",
}


def show(resources: Sequence[Made], endpoint: str, outputs: Mapping[str, Json]) -> None:
    """Print the resources, and the outputs."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("resource", "type", "where", ""):
        table.add_column(heading, overflow="fold")
    for made in resources:
        if not made.type.startswith(_BACKGROUND):
            table.add_row(made.name, made.type, place_of(made, endpoint), _SUPPORT[made.support])
    # Names are shown as they are: an ARN with :secret: in it has no emoji.
    console = Console(highlight=False, emoji=False, markup=False)
    if not console.is_terminal:
        # Nobody reads it on a screen of 80 columns, and addresses stay whole.
        console = Console(highlight=False, emoji=False, markup=False, width=200)
    console.print(table)
    hidden = sum(made.type.startswith(_BACKGROUND) for made in resources)
    if hidden:
        console.print(f"and {hidden} roles, policies and the like")
    for name, value in outputs.items():
        console.print(f"{name} = {value}")


def place_of(made: Made, endpoint: str) -> str:
    """Where a resource is: its address, or its name."""
    if made.type in ("AWS::ApiGatewayV2::Api", "AWS::ApiGateway::RestApi"):
        return f"{endpoint}/_api/{made.id}"
    return str(made.id)
