"""What the operations work with: the request, the functions, and how a function is named.

Owns the forms of names and ARNs, and AWS's words where there is no such function.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from treadle.errors import ApiError
from treadle.functions.contract import qualified
from treadle.functions.records import Function
from treadle.functions.registry import Registry

Answer: TypeAlias = dict[str, Any]

Fetch: TypeAlias = Callable[[str, str, str | None, int], bytes]
"""(bucket, key, version, most bytes) -> an object of S3. Blocks. Raises ApiError."""


@dataclass(frozen=True, slots=True)
class Lambda:
    """What answers requests. `fetch` reads code from S3."""

    registry: Registry
    account: str
    fetch: Fetch


@dataclass(frozen=True, slots=True)
class Request:
    """One request: its members, the region that it is meant for, and its trace as X-Ray's header tells it."""

    given: Mapping[str, Any]
    region: str
    account: str
    trace: str | None = None

    def arn(self, name: str, qualifier: str | None = None) -> str:
        """The ARN of a function in this region."""
        partition = "aws-cn" if self.region.startswith("cn-") else "aws"
        return f"arn:{partition}:lambda:{self.region}:{self.account}:function:{qualified(name, qualifier)}"

    @property
    def function(self) -> tuple[str, str | None]:
        """The plain name and the qualifier of the function that is named."""
        name, suffix = name_of(self.given["FunctionName"])
        qualifier = self.given.get("Qualifier")
        if suffix and qualifier and suffix != qualifier:
            raise ApiError(
                "InvalidParameterValueException",
                "The derived qualifier from the function name does not match the specified qualifier.",
            )
        return name, suffix or qualifier


Handler: TypeAlias = Callable[[Lambda, Request], Awaitable[Answer]]


def name_of(written: str) -> tuple[str, str | None]:
    """The plain name in a function's ARN, partial ARN or name, and its version or alias."""
    tail = written.rpartition("function:")[2]
    name, _, qualifier = tail.partition(":")
    return name, qualifier or None


def no_function(request: Request, name: str, qualifier: str | None = None) -> ApiError:
    """There is no function of this name."""
    return ApiError("ResourceNotFoundException", f"Function not found: {request.arn(name, qualifier)}")


def function_of(host: Lambda, request: Request) -> Function:
    """The function that a request names. Raises ApiError for one that is not there, or was found in a folder."""
    name, _ = request.function
    function = host.registry.get(name)
    if function is None:
        if host.registry.found(name) is not None:
            raise in_folder(name)
        raise no_function(request, name)
    return function


def in_folder(name: str) -> ApiError:
    """A function that is changed where its files are."""
    return ApiError(
        "ResourceConflictException",
        f"The function {name} was found in the folder of functions: change it there, or choose another name.",
    )
