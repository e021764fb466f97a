"""Lambda's API for the functions of this machine: enough of it for boto3, the AWS CLI and SAM.

In reading order: `protocol` (HTTP to members and back, by botocore's model), `app` (the ASGI application),
`operations` (which function answers what), then the operations by what they are about: `functions`, `versions`,
`policies`, `invocations`.
"""

from treadle.lambda_api.app import LambdaApp
from treadle.lambda_api.request import Lambda

__all__ = ["Lambda", "LambdaApp"]
