"""The environment variables that a handler sees: Lambda's, the function's own, and nothing of this process.

Source: Lambda 'Defined runtime environment variables'. Neighbours: `worker` gives them to a process, `in_process` sets
them for the time of a call.
"""

from __future__ import annotations

import os
import tempfile
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from treadle.functions.spec import FunctionSpec

# Lambda 'Reserved environment variables': a function's own settings cannot name these.
RESERVED: Final = frozenset(
    [
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_LAMBDA_RUNTIME_API",
        "LAMBDA_TASK_ROOT",
        "LAMBDA_RUNTIME_DIR",
    ]
)

# Where the interpreter and its libraries are found. Everything else of our environment may be a secret.
_OURS: Final = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all functions have in common. `environment` goes to each of them: endpoints, credentials."""

    region: str = "us-east-1"
    account: str = "123456789012"
    environment: Mapping[str, str] = field(default_factory=dict[str, str])

    def arn(self, name: str) -> str:
        """The ARN of a function."""
        return f"arn:aws:lambda:{self.region}:{self.account}:function:{name}"


def variables(spec: FunctionSpec, surroundings: Surroundings) -> dict[str, str]:
    """The environment of one process of a function; its log stream is new every time."""
    ours = {name: os.environ[name] for name in _OURS if name in os.environ}
    ours |= {"LANG": "en_US.UTF-8", "TZ": ":UTC"}
    # Without a home the SDKs would look for the one in the user database, and read its ~/.aws.
    ours["HOME"] = tempfile.gettempdir()
    function = spec.function or spec.name
    credentials = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), "local")
    lambdas = {
        "_HANDLER": spec.handler,
        "AWS_DEFAULT_REGION": surroundings.region,
        "AWS_REGION": surroundings.region,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{spec.runtime}",
        "AWS_LAMBDA_FUNCTION_NAME": function,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory_mb),
        "AWS_LAMBDA_FUNCTION_VERSION": spec.version,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function}",
        "AWS_LAMBDA_LOG_STREAM_NAME": time.strftime("%Y/%m/%d/", time.gmtime()) + f"[{spec.version}]{uuid.uuid4().hex}",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "LAMBDA_TASK_ROOT": str(spec.folder),
    }
    return {**ours, **credentials, **surroundings.environment, **spec.environment, **lambdas}
