"""The functions of the approval solution, imported as Lambda does: from their own folder, with their environment."""

from __future__ import annotations

import importlib
import json
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from approval_template import SAM

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
        self.approvals = self._table("Approvals")
        self.deployments = self._table("Deployments")
        self.notifications = self._table("Notifications")
        self.topic = cloud.client("sns").create_topic(Name=cloud.unique("stakeholders"))["TopicArn"]

    def environment(self, states: str) -> dict[str, str]:
        return {
            **self.cloud.environment,
            "AWS_ENDPOINT_URL_SFN": states,
            "API_SECRET": self.secrets["api"],
            "CALLBACK_SECRET": self.secrets["callback"],
            "TABLE": self.approvals,
            "DEPLOYMENTS": self.deployments,
            "NOTIFICATIONS": self.notifications,
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
        row |= {"votes": [], "deliveries": [], "version": 1, "approvers": [], "quorum": 1, "due": 2**40, "since": 1}
        self.rows.put_item(Item=row | more)

    def row(self, story: str, execution: str = "e-1") -> dict[str, Any]:
        return self.rows.get_item(Key={"story": story, "execution": execution}, ConsistentRead=True)["Item"]

    def change(self, story: str, **changes: Any) -> None:
        self.rows.put_item(Item=self.row(story) | changes)

    def key(self, key: str) -> dict[str, Any]:
        """What is kept of an idempotency key."""
        return self._resource(self.notifications).get_item(Key={"key": key}, ConsistentRead=True)["Item"]

    def keep(self, row: dict[str, Any], *without: str) -> None:
        kept = {name: value for name, value in row.items() if name not in without}
        self._resource(self.notifications).put_item(Item=kept)

    def rows_of(self, story: str) -> list[dict[str, Any]]:
        from boto3.dynamodb.conditions import Key

        return self.rows.query(KeyConditionExpression=Key("story").eq(story), ConsistentRead=True)["Items"]

    @property
    def rows(self) -> Any:
        """The table of approvals."""
        return self._resource(self.approvals)

    def _resource(self, table: str) -> Any:
        import boto3

        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
        return boto3.resource("dynamodb", endpoint_url=self.cloud.endpoint, **keys).Table(table)  # type: ignore[call-overload]

    def _table(self, resource: str) -> str:
        """A table as the template has it."""
        name = self.cloud.unique(resource)
        properties = dict(SAM[resource]["Properties"])
        for later in ("TimeToLiveSpecification", "PointInTimeRecoverySpecification", "SSESpecification"):
            properties.pop(later, None)
        self.cloud.client("dynamodb").create_table(TableName=name, **properties)
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
