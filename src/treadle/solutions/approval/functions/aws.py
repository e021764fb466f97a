"""Clients of AWS, and the codes of their errors. Nothing here says where AWS is: the environment does."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

# A function has less than a minute: an answer that takes longer than this would end it in the middle.
_PATIENCE = Config(connect_timeout=3, read_timeout=10)


def client(service: str, retries: dict[str, int] | None = None) -> Any:
    """A client of a service; their types are not part of the runtime of Lambda."""
    config = _PATIENCE if retries is None else _PATIENCE.merge(Config(retries=retries))  # pyright: ignore
    return boto3.client(service, config=config)  # pyright: ignore


def table(name: str) -> Any:
    """A table of DynamoDB, with values as Python has them."""
    return boto3.resource("dynamodb", config=_PATIENCE).Table(name)  # pyright: ignore


def code_of(error: ClientError) -> str:
    """What AWS calls an error."""
    return error.response.get("Error", {}).get("Code", "")
