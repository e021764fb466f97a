"""The functions of the approval solution, imported as Lambda does: from their own folder, with their environment."""

from __future__ import annotations

import importlib
import json
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from local_cloud import LocalCloud
from treadle.solutions.approval import FOLDER

FUNCTIONS = FOLDER / "functions"


class Deployed:
    """Tables, secrets and a topic in the local cloud, and the functions that use them."""

    def __init__(self, cloud: LocalCloud) -> None:
        self.cloud = cloud
        self.tokens = {name: uuid.uuid4().hex for name in ("api", "callback")}
        manager = cloud.client("secretsmanager")
        self.secrets = {
            name: manager.create_secret(Name=cloud.unique(name), SecretString=value)["ARN"]
            for name, value in self.tokens.items()
        }
        self.approvals = self._table("story", "execution")
        self.deployments = self._table("environment", "package")
        self.topic = cloud.client("sns").create_topic(Name=cloud.unique("stakeholders"))["TopicArn"]

    def environment(self, states: str) -> dict[str, str]:
        return {
            **self.cloud.environment,
            "AWS_ENDPOINT_URL_SFN": states,
            "API_SECRET": self.secrets["api"],
            "CALLBACK_SECRET": self.secrets["callback"],
            "TABLE": self.approvals,
            "DEPLOYMENTS": self.deployments,
            "ENVIRONMENTS": "dev,staging",
            "TOPIC": self.topic,
        }

    def rotate(self, name: str) -> str:
        """A new version of a secret."""
        value = uuid.uuid4().hex
        self.cloud.client("secretsmanager").put_secret_value(SecretId=self.secrets[name], SecretString=value)
        return value

    def wait(self, story: str, execution: str = "e-1", **more: Any) -> None:
        """A row as the workflow writes it when it begins to wait."""
        row = {"story": story, "execution": execution, "token": f"token-of-{story}-{execution}", "state": "PENDING"}
        row |= {"votes": [], "deliveries": [], "version": 0, "approvers": [], "quorum": 1, "due": 2**40}
        self._rows().put_item(Item=row | more)

    def row(self, story: str, execution: str = "e-1") -> dict[str, Any]:
        return self._rows().get_item(Key={"story": story, "execution": execution}, ConsistentRead=True)["Item"]

    def change(self, story: str, **changes: Any) -> None:
        self._rows().put_item(Item=self.row(story) | changes)

    def _rows(self) -> Any:
        import boto3

        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
        return boto3.resource("dynamodb", endpoint_url=self.cloud.endpoint, **keys).Table(self.approvals)  # type: ignore[call-overload]

    def _table(self, *key: str) -> str:
        name = self.cloud.unique("table")
        self.cloud.client("dynamodb").create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": each, "AttributeType": "S"} for each in key],
            KeySchema=[
                {"AttributeName": each, "KeyType": kind} for each, kind in zip(key, ("HASH", "RANGE"), strict=True)
            ],
        )
        return name


@contextmanager
def importable() -> Iterator[Any]:
    """Gives a function that imports a module of the solution anew; they are gone afterwards."""
    names = {each.stem for each in FUNCTIONS.glob("*.py")}
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sys.path.insert(0, str(FUNCTIONS))
    try:
        yield importlib.import_module
    finally:
        sys.path.remove(str(FUNCTIONS))
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(before)


def event(body: Any, headers: dict[str, str] | None = None) -> dict[str, Any]:
    """A request as an HTTP API gives it to a function."""
    return {
        "version": "2.0",
        "headers": headers or {},
        "body": body if isinstance(body, str) else json.dumps(body),
        "isBase64Encoded": False,
        "requestContext": {"requestId": "r-1"},
    }


def answered(result: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return result["statusCode"], json.loads(result["body"])
