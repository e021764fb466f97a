"""Reads code from S3: at the endpoint that the SDKs would use, or the one that is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from treadle.errors import ApiError
from treadle.integrations.aws.sessions import Keys
from treadle.lambda_api.request import Fetch


def fetching(endpoint_url: str | None, region: str = "us-east-1", keys: Keys | None = None) -> Fetch:
    """What fetches objects, with these keys or those that the SDKs find; botocore is imported with the first one."""
    clients: list[Any] = []

    def client() -> Any:
        if not clients:
            from botocore.config import Config
            from botocore.session import get_session

            session: Any = get_session()
            options: dict[str, Any] = {}
            if keys is not None:
                options = {"aws_access_key_id": keys.access_key, "aws_secret_access_key": keys.secret_key}
            elif session.get_credentials() is None and endpoint_url is not None:
                options = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
            config = Config(s3={"addressing_style": "path"}, connect_timeout=5, read_timeout=60)
            clients.append(
                session.create_client("s3", region_name=region, endpoint_url=endpoint_url, config=config, **options)
            )
        return clients[0]

    def fetch(bucket: str, key: str, version: str | None, most: int) -> bytes:
        return _fetched(client, bucket, key, version, most)

    return fetch


def _fetched(client: Callable[[], Any], bucket: str, key: str, version: str | None, most: int) -> bytes:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        named = {"Bucket": bucket, "Key": key, **({"VersionId": version} if version else {})}
        found = client().get_object(**named)
        if found["ContentLength"] > most:
            raise ApiError("InvalidParameterValueException", f"Zipped size must be smaller than {most} bytes")
        content: bytes = found["Body"].read(most + 1)
    except ClientError as error:
        response: Any = error.response
        told = response["Error"]
        raise ApiError(
            "InvalidParameterValueException",
            f"Error occurred while GetObject. S3 Error Code: {told['Code']}. S3 Error Message: {told['Message']}",
        ) from None
    except BotoCoreError as error:
        raise ApiError("InvalidParameterValueException", f"Error occurred while GetObject. {error}") from None
    return content
