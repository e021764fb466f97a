"""Clients of AWS, and the codes of their errors. Nothing here says where AWS is: the environment does."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.exceptions import ClientError


def client(service: str) -> Any:
    """A client of a service; their types are not part of the runtime of Lambda."""
    return boto3.client(service)  # pyright: ignore


def table(name: str) -> Any:
    """A table of DynamoDB, with values as Python has them."""
    return boto3.resource("dynamodb").Table(name)  # pyright: ignore


def code_of(error: ClientError) -> str:
    """What AWS calls an error."""
    return error.response.get("Error", {}).get("Code", "")
