"""Calls handlers in this process, with the events, contexts and errors that they have on AWS Lambda. For tests.

What a handler can see comes from AWS's own client, awslambdaric; this module takes the place of the Runtime API.
Handlers run on the event loop and block it, so that no time passes for a virtual clock while one works. Never use it
for code that is not trusted to end: nothing stops a handler here, a time limit that has passed is only noticed
afterwards, and there is no memory limit.
"""

from __future__ import annotations

import importlib
import io
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeAlias

from treadle.functions.contract import FunctionNotFound, FunctionsClosed, Invoked, qualified
from treadle.functions.environment import Surroundings, variables
from treadle.functions.outcome import Outcome, exited, failed, returned, timed_out
from treadle.functions.request import Request, request
from treadle.functions.spec import FunctionSpec, InvalidFunctions
from treadle.language.scope import Json

Handler: TypeAlias = Callable[[Any, Any], Json]
"""A handler: it takes the event and Lambda's context object."""

# AWS's package has no types. Some of what is called here is not public, hence its next major version is not accepted;
# the tests compare with what its own processes do.
_CLIENT: Final[Any] = importlib.import_module("awslambdaric.bootstrap")
_MARSHALLER: Final[Any] = importlib.import_module("awslambdaric.lambda_runtime_marshaller")
_FAULT: Final[Any] = importlib.import_module("awslambdaric.lambda_runtime_exception").FaultException


_CONTEXT_READS: Final = frozenset(
    f"AWS_LAMBDA_{name}"
    for name in ("FUNCTION_MEMORY_SIZE", "FUNCTION_NAME", "FUNCTION_VERSION", "LOG_GROUP_NAME", "LOG_STREAM_NAME")
)
"""What awslambdaric's context object takes from the environment."""


class InProcessFunctions:
    """Functions in this process: specs of Python functions, and plain callables."""

    def __init__(
        self, functions: Mapping[str, FunctionSpec | Handler], *, surroundings: Surroundings | None = None
    ) -> None:
        self._surroundings = surroundings or Surroundings()
        self._functions = {name: _function(name, each) for name, each in functions.items()}
        self._closed = False

    def names(self) -> Collection[str]:
        """The functions there are."""
        return self._functions.keys()

    async def invoke(
        self,
        name: str,
        payload: bytes,
        *,
        qualifier: str | None = None,
        trace_id: str | None = None,
        client_context: bytes | None = None,
    ) -> Invoked:
        """Call the handler once, here and now."""
        if self._closed:
            raise FunctionsClosed
        function = self._functions.get(name)
        if function is None:
            raise FunctionNotFound(name)
        call = request(self._surroundings.arn(qualified(name, qualifier)), payload, trace_id, client_context)
        return function.call(call, lambda: variables(function.spec, self._surroundings))

    async def close(self) -> None:
        """Take no more calls."""
        self._closed = True


class _Function:
    """One function; its code is loaded by the first call, as a cold start would."""

    def __init__(self, spec: FunctionSpec, handler: Handler | None) -> None:
        self.spec = spec
        self.handler = handler
        self.room = _Room(spec.folder) if handler is None else None
        self.marshaller = _MARSHALLER.LambdaMarshaller()
        self._context: Any = None

    def call(self, call: Request, environment: Callable[[], Mapping[str, str]]) -> Invoked:
        log = io.StringIO()
        began = time.perf_counter()
        streams = sys.stdout, sys.stderr
        sys.stdout = sys.stderr = log
        try:
            outcome = self.plain(call, environment) if self.room is None else self.at_home(call, self.room, environment)
        except SystemExit as error:
            outcome = exited(call.id, _status(error))
        finally:
            sys.stdout, sys.stderr = streams
        duration = time.perf_counter() - began
        if duration > self.spec.timeout:
            outcome = timed_out(call.id, self.spec.timeout)
        return Invoked(
            payload=outcome.payload,
            error=outcome.error,
            log=log.getvalue() + outcome.log_line,
            request_id=call.id,
            duration=duration,
            memory_mb=self.spec.memory_mb,
        )

    def at_home(self, call: Request, room: _Room, environment: Callable[[], Mapping[str, str]]) -> Outcome:
        """What a handler gives, in the surroundings that its function has on Lambda."""
        with _environment({**environment(), "_X_AMZN_TRACE_ID": call.trace_id}), _logging(call.id), room:
            return self.outcome(call)

    def plain(self, call: Request, environment: Callable[[], Mapping[str, str]]) -> Outcome:
        """What a callable gives. It is part of the program around it and keeps that program's surroundings."""
        assert self.handler is not None
        try:
            event = self.marshaller.unmarshal_request(call.payload)
            answer, _ = self.marshaller.marshal_response(self.handler(event, self.context(call, environment)))
        except _FAULT as fault:
            return _refused(_CLIENT.make_error(fault.msg, fault.exception_type, fault.trace, call.id))
        except Exception as error:
            # Without our own frame, the trace begins where that of Lambda does.
            trace = traceback.extract_tb(error.__traceback__ and error.__traceback__.tb_next)
            told = traceback.format_list([tuple(frame) for frame in trace])
            return _refused(_CLIENT.make_error(str(error), type(error).__name__, told, call.id))
        return returned(answer if isinstance(answer, bytes) else answer.encode())

    def context(self, call: Request, environment: Callable[[], Mapping[str, str]]) -> Any:
        """Lambda's context object. Most of it is the same for each call, and costs more than the call."""
        if self._context is None:
            with _added({name: value for name, value in environment().items() if name in _CONTEXT_READS}):
                self._context = _CLIENT.create_lambda_context(None, None, 0, "", call.arn, None)
        context = _copied(self._context)
        if call.client_context is not None:
            told = _CLIENT.create_lambda_context(call.client_context, None, 0, "", call.arn, None)
            context.client_context, context._w3c_fields = told.client_context, told._w3c_fields
        context.aws_request_id = call.id
        context._epoch_deadline_time_in_ms = call.deadline(self.spec.timeout)
        return context

    def outcome(self, call: Request) -> Outcome:
        if self.handler is None:
            try:
                self.handler = _CLIENT._get_handler(self.spec.handler)
            except _FAULT as fault:
                return _refused(_CLIENT.make_error(fault.msg, fault.exception_type, fault.trace))
            except Exception as error:
                # Without our own frame, the trace begins where that of Lambda does.
                trace = error.__traceback__ and error.__traceback__.tb_next
                return _refused(_CLIENT.build_fault_result((type(error), error, trace), None))
        answer = _Answer()
        _CLIENT.handle_event_request(
            lambda_runtime_client=answer,
            request_handler=self.handler,
            invoke_id=call.id,
            event_body=call.payload,
            content_type="application/json",
            client_context_json=call.client_context,
            cognito_identity_json=None,
            invoked_function_arn=call.arn,
            epoch_deadline_time_in_ms=call.deadline(self.spec.timeout),
            tenant_id=None,
            log_sink=_CLIENT.StandardLogSink(),
        )
        assert answer.outcome is not None
        return answer.outcome


class _Answer:
    """Takes the place of the connection to the Runtime API."""

    def __init__(self) -> None:
        self.marshaller = _MARSHALLER.LambdaMarshaller()
        self.outcome: Outcome | None = None

    def post_invocation_result(self, invoke_id: str, result: str | bytes, content_type: str, _: str | None) -> None:
        self.outcome = returned(result if isinstance(result, bytes) else result.encode())

    def post_invocation_error(self, invoke_id: str, error: str, xray_fault: str, _: str | None) -> None:
        self.outcome = failed(error.encode())


class _Room:
    """The modules of one function's folder, apart from those of all other functions and of this process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.modules: dict[str, ModuleType] = {}
        self.others: dict[str, ModuleType] = {}
        self.left_behind = Path()

    def __enter__(self) -> None:
        self.left_behind = Path.cwd()
        os.chdir(self.folder)
        sys.path.insert(0, str(self.folder))
        importlib.invalidate_caches()
        self.others = self.move_out()
        sys.modules.update(self.modules)

    def __exit__(self, *_: object) -> None:
        self.modules = self.move_out()
        sys.modules.update(self.others)
        sys.path.remove(str(self.folder))
        os.chdir(self.left_behind)

    def move_out(self) -> dict[str, ModuleType]:
        """Take the modules that this folder has a file for out of those that are loaded."""
        own = {path.stem for path in self.folder.iterdir()}
        return {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in own}


def _function(name: str, given: FunctionSpec | Handler) -> _Function:
    if not isinstance(given, FunctionSpec):
        return _Function(FunctionSpec(name, f"{name}.handler", Path.cwd(), _runtime()), given)
    if given.language != "python":
        raise InvalidFunctions(
            f"{name}: {given.runtime} cannot run in this process. Use ProcessFunctions, or a Python handler instead."
        )
    return _Function(given, None)


def _runtime() -> str:
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


def _copied(thing: Any) -> Any:
    """As `copy.copy`, which asks many questions first."""
    members: dict[str, Any] = thing.__dict__
    copied: Any = object.__new__(thing.__class__)
    copied.__dict__ = members.copy()
    return copied


def _refused(error: Json) -> Outcome:
    _CLIENT.log_error(error, _CLIENT.StandardLogSink())
    return failed(_MARSHALLER.to_json(error).encode())


def _status(error: SystemExit) -> int:
    match error.code:
        case None:
            return 0
        case int(status):
            return status & 0xFF
        case message:
            print(message, file=sys.stderr)
            return 1


@contextmanager
def _added(values: Mapping[str, str]) -> Generator[None]:
    """Some variables, beside those that are there."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _environment(values: Mapping[str, str]) -> Generator[None]:
    ours = dict(os.environ)
    os.environ.clear()
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(ours)


@contextmanager
def _logging(request_id: str) -> Generator[None]:
    """Have log records written as Lambda writes them."""
    root = logging.getLogger()
    handler: logging.Handler = _CLIENT.LambdaLoggerHandler(_CLIENT.StandardLogSink())
    formatter = logging.Formatter(
        "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    handler.addFilter(_CLIENT.LambdaLoggerFilter())
    _CLIENT._GLOBAL_AWS_REQUEST_ID = request_id
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
