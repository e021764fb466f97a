"""Finds services and actions in botocore's models, and compiles each action once.

Owns what is known of an action before it is called: how its parameters and answers are spelled, how its errors are
named, which parameters make it idempotent, and whether it may be repeated. Everything is read off the models, so an
action exists here as soon as botocore has it. Never calls anything (that is `sessions`).
"""

from __future__ import annotations

import gzip
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from treadle.integrations.aws.names import OPTIMISED, SDK, Dialect, action_name, service_name
from treadle.integrations.aws.shapes import Answers, Decode, Encode, Misfit, Requests
from treadle.language.scope import Json

if TYPE_CHECKING:
    from botocore.model import OperationModel, ServiceModel

_SERVICE_ID: Final = re.compile(rb'"serviceId"\s*:\s*"([^"]+)"')
_HEAD: Final = 4096
"""A model begins with what it says of the service."""

_TOKENS: Final = frozenset(("clienttoken", "clientrequesttoken", "idempotencytoken"))
# Models do not mark it, but an execution's name makes its start idempotent (AWS 'StartExecution').
_NAMING: Final = {("SFN", "StartExecution"): "name"}
# An answer to HEAD has no body that could name the error; the SDK for Java names these.
_GONE: Final = {("S3", "HeadObject"): "NoSuchKey", ("S3", "HeadBucket"): "NoSuchBucket"}
_READS: Final = ("Get", "List", "Describe", "BatchGet", "Head", "Query", "Scan", "Search", "Select", "Lookup", "Check")
_SETTLES: Final = ("Delete", "BatchDelete", "Tag", "Untag", "Deregister", "Terminate", "Stop", "Cancel", "Set")
# Whoever reads from these expects to see a message twice: they promise delivery at least once.
_AT_LEAST_ONCE: Final = frozenset(("SQS", "SNS", "EventBridge", "Kinesis", "Firehose", "Lambda"))


class Unknown(Exception):
    """botocore has no such service or action, or it cannot be used in a workflow; the message says which."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service. `module` is what botocore calls it, `id` its `serviceId`, `name` its name in Java: `Sfn`."""

    module: str
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Action:
    """One action of a service, compiled.

    `required`, `tokens` and `body` are names as botocore has them: what must be there, what makes a call idempotent,
    and the member of an answer that is a stream. `repeatable` says that calling twice is as good as calling once.
    `errors` has the names of modelled errors by their codes.
    """

    service: Service
    operation: str
    required: tuple[str, ...]
    tokens: tuple[str, ...]
    body: str | None
    repeatable: bool
    errors: Mapping[str, str]
    _encode: Encode
    _decode: Decode

    def parameters(self, arguments: Json, idempotency: str) -> dict[str, Any]:
        """What botocore takes, with an idempotency token of this call where the caller gave none. Raises Misfit."""
        parameters: dict[str, Any] = self._encode("Parameters", {} if arguments is None else arguments)
        for token in self.tokens:
            parameters.setdefault(token, token_of(idempotency))
        return parameters

    def answer(self, parsed: Mapping[str, Any]) -> Json:
        """What botocore gave, as JSON."""
        return self._decode(parsed)

    def missing(self, parameters: Mapping[str, Any]) -> list[str]:
        """Required parameters that are not there."""
        return [name for name in self.required if name not in parameters]


def token_of(idempotency: str) -> str:
    """A client token that every service takes: they are made for UUIDs."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, idempotency))


# ---- finding -----------------------------------------------------------------------------------------------------


def sdk_action(service: str, action: str) -> Action:
    """An action as `aws-sdk:service:action` names it. Raises Unknown."""
    module = _modules().get(service.lower())
    if module is None or service != service.lower():
        raise Unknown(f"There is no AWS service '{service}'.")
    operation = _operations(module).get(action)
    if operation is None:
        raise Unknown(f"The AWS service '{service}' has no action '{action}'.")
    return compiled(module, operation, SDK)


def optimised_action(module: str, operation: str) -> Action:
    """An operation of botocore in the dialect of the optimised integrations."""
    return compiled(module, operation, OPTIMISED)


def answer_shape(module: str, operation: str) -> Any:
    """The shape that botocore has for an operation's answer; None where it has none. Raises Unknown."""
    from botocore.exceptions import UnknownServiceError
    from botocore.model import OperationNotFoundError

    try:
        return _model(module)[0].operation_model(operation).output_shape
    except (OperationNotFoundError, UnknownServiceError):
        raise Unknown(f"'{module}' has no operation '{operation}'.") from None


@lru_cache(maxsize=1)
def _modules() -> Mapping[str, str]:
    """botocore's names of the services by those of Step Functions. Reads the heads of all models: a quarter second."""
    from botocore.loaders import Loader

    found: dict[str, str] = {}
    for module in Loader().list_available_services("service-2"):
        identity = _service_id(module)
        name = service_name(identity).lower() if identity else module
        # Two models may be of one service; the one that is named like it is the current one.
        if name not in found or module.replace("-", "") == name:
            found[name] = module
    return found


def _service_id(module: str) -> str | None:
    import botocore

    assert botocore.__file__ is not None
    versions = sorted((Path(botocore.__file__).parent / "data" / module).glob("*/service-2.json.gz"))
    if not versions:
        return None
    with gzip.open(versions[-1]) as model:
        match = _SERVICE_ID.search(model.read(_HEAD))
    return match[1].decode() if match else None


@lru_cache(maxsize=64)
def _model(module: str) -> tuple[ServiceModel, Mapping[str, Any]]:
    """The model of a service, and what it says of each operation."""
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    described: dict[str, Any] = Loader().load_service_model(module, "service-2")
    return ServiceModel(described, module), described["operations"]


@lru_cache(maxsize=64)
def _operations(module: str) -> Mapping[str, str]:
    return {action_name(operation): operation for operation in _model(module)[0].operation_names}


# ---- compiling ---------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _service(module: str) -> Service:
    identity = str(_model(module)[0].service_id)
    return Service(module, identity, service_name(identity))


@lru_cache(maxsize=64)
def _spelling(module: str, dialect: Dialect) -> tuple[Requests, Answers, Mapping[str, str]]:
    # Java's exception classes are made of shapes; what travels is the error's code, which a shape may name differently.
    shapes = cast(Sequence[Any], _model(module)[0].error_shapes)
    errors = {
        code: dialect.exception(shape.name) for shape in shapes for code in (shape.name, shape.error_code) if code
    }
    return Requests(dialect), Answers(dialect), errors


@lru_cache(maxsize=1024)
def compiled(module: str, operation: str, dialect: Dialect) -> Action:
    """An operation, ready to be called. Raises Unknown for one that streams events."""
    model, described = _model(module)
    service = _service(module)
    requests, answers, errors = _spelling(module, dialect)
    found = model.operation_model(operation)
    if found.has_event_stream_input or found.has_event_stream_output:
        raise Unknown(f"The action '{action_name(operation)}' streams events, which a workflow cannot take.")
    given, told = found.input_shape, found.output_shape
    tokens = _tokens(service, found)
    return Action(
        service=service,
        operation=operation,
        required=tuple(name for name in given.required_members if name not in tokens) if given else (),
        tokens=tokens,
        body=told.serialization.get("payload") if told and found.has_streaming_output else None,
        repeatable=bool(tokens) or _repeatable(service, found, described[operation]),
        errors={**errors, "404": dialect.exception(gone)} if (gone := _GONE.get((service.id, operation))) else errors,
        _encode=requests.encoder(given) if given else _no_parameters,
        _decode=answers.decoder(told) if told else _no_answer,
    )


def _no_parameters(field: str, value: Json) -> dict[str, Any]:
    for key in value:
        raise Misfit(f'The field "{key}" is not supported by Step Functions')
    return {}


def _no_answer(value: Any) -> Json:
    return {}


def _tokens(service: Service, operation: OperationModel) -> tuple[str, ...]:
    """Parameters that make a call idempotent: marked in the model, or known by their names."""
    if operation.input_shape is None:
        return ()
    naming = _NAMING.get((service.id, operation.name))
    marked = set(operation.idempotent_members)
    return tuple(
        name
        for name, member in operation.input_shape.members.items()
        if member.type_name == "string" and (name in marked or name.lower() in _TOKENS or name == naming)
    )


def _repeatable(service: Service, operation: OperationModel, described: Mapping[str, Any]) -> bool:
    """Whether a call without a token may be made twice: it reads, it leaves things as they are the second time, or
    whoever it speaks to is used to hearing things twice."""
    if described.get("readonly") or described.get("idempotent") or service.id in _AT_LEAST_ONCE:
        return True
    if operation.http["method"] != "POST":
        # Only the REST protocols use other methods, and there they mean what HTTP says.
        return operation.http["method"] in ("GET", "HEAD", "PUT", "DELETE")
    return operation.name.startswith((*_READS, *_SETTLES))
