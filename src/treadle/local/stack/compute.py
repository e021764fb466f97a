"""Resources that run here: functions, state machines, activities.

Owns how each of them is made of its properties. State machines go through the endpoint like everybody's; functions
stand in this process's table. Neighbours: `events` and `routes` have what starts them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from treadle.functions.spec import FunctionSpec, InvalidFunctions
from treadle.language.places import Places
from treadle.language.scope import Json
from treadle.language.yaml_text import YamlSyntaxError, decode
from treadle.local.errors import TemplateError
from treadle.local.shapes import dig, fields, items
from treadle.local.stack.made import Made, Wanted
from treadle.local.stack.names import physical_name
from treadle.local.stack.rows import code_of
from treadle.local.stack.shaping import as_text
from treadle.local.stack.world import World
from treadle.local.template.files import LOCAL_PATH

_SUFFIX: Final = {"python": "py", "nodejs": "js"}

_SILENT: Final = frozenset(
    [
        "Architectures",
        "Code",
        "CodeUri",
        "Description",
        "Environment",
        "FunctionName",
        "Handler",
        "MemorySize",
        "Role",
        "Runtime",
        "Tags",
        "Timeout",
        "TracingConfig",
        "LoggingConfig",
        "EphemeralStorage",
    ]
)
"""Properties of a function that are heeded, or that change nothing here that a handler could notice."""


class Functions:
    """AWS::Lambda::Function."""

    def make(self, wanted: Wanted, world: World) -> Made:
        """Have the function."""
        name = str(wanted.properties.get("FunctionName") or physical_name(wanted.stack, wanted.name, 64))
        world.functions.put(self._spec(name, wanted, world))
        return Made(
            name=wanted.name,
            type=wanted.type,
            id=name,
            attributes={"Arn": world.arn("lambda", f"function:{name}")},
            properties=wanted.properties,
            physical={"name": name},
            notices=tuple(f"{each} has no effect here" for each in sorted(set(wanted.properties) - _SILENT)),
        )

    def update(self, wanted: Wanted, made: Made, world: World) -> Made:
        """Have the new function in place of the old one."""
        new = self.make(wanted, world)
        if new.id != made.id:
            self.remove(made, world)
        return new

    def resume(self, made: Made, world: World) -> None:
        """Have the function again after a restart."""
        world.functions.put(self._spec(made.id, Wanted(made.name, made.type, made.properties, ""), world))

    def remove(self, made: Made, world: World) -> None:
        """Have it no more."""
        world.functions.remove(made.id)

    def _spec(self, name: str, wanted: Wanted, world: World) -> FunctionSpec:
        properties = wanted.properties
        if properties.get("PackageType") == "Image":
            raise TemplateError("a function in a container image cannot run here: give it a CodeUri.")
        variables = fields(dig(properties, "Environment", "Variables"))
        try:
            return FunctionSpec(
                name,
                str(properties.get("Handler") or "index.handler"),
                self._folder(name, wanted, world),
                str(properties.get("Runtime") or ""),
                {key: as_text(value) for key, value in variables.items()},
                timeout=float(properties.get("Timeout", 3)),
                memory_mb=int(properties.get("MemorySize", 128)),
            )
        except InvalidFunctions as error:
            raise TemplateError(f"{error}") from None

    def _folder(self, name: str, wanted: Wanted, world: World) -> Path:
        code = fields(wanted.properties.get("Code"))
        if LOCAL_PATH in code:
            path = Path(code[LOCAL_PATH])
            if path.is_file():
                raise TemplateError(f"{path} is a file: name the folder that it was packed from.")
            return path
        if "ZipFile" in code:
            folder = world.folder / "inline" / name
            folder.mkdir(parents=True, exist_ok=True)
            language = next((each for each in _SUFFIX if str(wanted.properties.get("Runtime")).startswith(each)), "")
            (folder / f"index.{_SUFFIX.get(language, 'py')}").write_text(as_text(code["ZipFile"]))
            return folder
        raise TemplateError("the code is not on this machine: name its folder as CodeUri.")


class FunctionVersions:
    """AWS::Lambda::Version and AWS::Lambda::Alias: there is one version of a function here, the newest."""

    def make(self, wanted: Wanted, world: World) -> Made:
        """Give the ARN, with the qualifier."""
        function = str(wanted.properties["FunctionName"]).rpartition("function:")[2]
        name = str(wanted.properties.get("Name") or "1")
        arn = world.arn("lambda", f"function:{function}:{name}")
        return Made(
            name=wanted.name, type=wanted.type, id=arn, properties=wanted.properties,
            attributes={"AliasArn": arn, "FunctionArn": arn, "Version": "1"},
        )  # fmt: skip

    def update(self, wanted: Wanted, made: Made, world: World) -> Made:
        """The same."""
        return self.make(wanted, world)

    def resume(self, made: Made, world: World) -> None:
        """Nothing is kept."""

    def remove(self, made: Made, world: World) -> None:
        """Nothing is kept."""


_HEEDED: Final = frozenset(
    [
        "Definition",
        "DefinitionS3Location",
        "DefinitionString",
        "DefinitionSubstitutions",
        "LoggingConfiguration",
        "RoleArn",
        "StateMachineName",
        "StateMachineType",
        "Tags",
        "TracingConfiguration",
    ]
)
"""Properties of a state machine that are heeded."""


class StateMachines:
    """AWS::StepFunctions::StateMachine."""

    def make(self, wanted: Wanted, world: World) -> Made:
        """Create the state machine; one that is there already becomes what the template says."""
        name = str(wanted.properties.get("StateMachineName") or physical_name(wanted.stack, wanted.name, 80))
        states = world.client("stepfunctions")
        kind = str(wanted.properties.get("StateMachineType") or "STANDARD")
        arn = world.arn("states", f"stateMachine:{name}")
        try:
            tags = [
                {"key": each["Key"], "value": as_text(each["Value"])} for each in items(wanted.properties.get("Tags"))
            ]
            states.create_state_machine(name=name, type=kind, tags=tags, **self._settings(wanted))
        except Exception as error:
            if code_of(error) != "StateMachineAlreadyExists":
                raise TemplateError(f"{_told(error)}") from error
            states.update_state_machine(stateMachineArn=arn, **self._settings(wanted))
        return Made(
            name=wanted.name,
            type=wanted.type,
            id=arn,
            attributes=self._attributes(arn, name, world),
            properties=wanted.properties,
            physical={"name": name, "kind": kind},
            notices=tuple(f"{each} has no effect here" for each in sorted(wanted.properties.keys() - _HEEDED)),
        )

    def update(self, wanted: Wanted, made: Made, world: World) -> Made:
        """Change the state machine. Executions under way go on with the definition that they began with."""
        name = wanted.properties.get("StateMachineName")
        kind = str(wanted.properties.get("StateMachineType") or "STANDARD")
        if (name and name != made.physical["name"]) or kind != made.physical["kind"]:
            self.remove(made, world)
            return self.make(wanted, world)
        try:
            world.client("stepfunctions").update_state_machine(stateMachineArn=made.id, **self._settings(wanted))
        except Exception as error:
            if code_of(error) == "StateMachineDoesNotExist":
                return self.make(wanted, world)
            raise TemplateError(f"{_told(error)}") from error
        attributes = self._attributes(made.id, str(made.physical["name"]), world)
        return msgspec.structs.replace(made, attributes=attributes, properties=wanted.properties)

    def resume(self, made: Made, world: World) -> None:
        """It is in the store."""

    def remove(self, made: Made, world: World) -> None:
        """Delete the state machine, once its executions have ended."""
        world.client("stepfunctions").delete_state_machine(stateMachineArn=made.id)

    def _attributes(self, arn: str, name: str, world: World) -> dict[str, Json]:
        told = world.client("stepfunctions").describe_state_machine(stateMachineArn=arn)
        return {"Arn": arn, "Name": name, "StateMachineRevisionId": told.get("revisionId") or "INITIAL"}

    def _settings(self, wanted: Wanted) -> dict[str, Json]:
        properties = wanted.properties
        settings: dict[str, Json] = {
            "definition": definition_of(wanted),
            "roleArn": as_text(properties.get("RoleArn") or "arn:aws:iam::123456789012:role/local"),
        }
        if "TracingConfiguration" in properties:
            enabled = as_text(dig(properties, "TracingConfiguration", "Enabled")) == "true"
            settings["tracingConfiguration"] = {"enabled": enabled}
        if "LoggingConfiguration" in properties:
            given = fields(properties["LoggingConfiguration"])
            groups = [
                {"cloudWatchLogsLogGroup": {"logGroupArn": dig(each, "CloudWatchLogsLogGroup", "LogGroupArn")}}
                for each in items(given.get("Destinations"))
            ]
            settings["loggingConfiguration"] = {
                "level": given.get("Level", "OFF"),
                "includeExecutionData": as_text(given.get("IncludeExecutionData", False)) == "true",
                "destinations": groups,
            }
        return settings


def definition_of(wanted: Wanted) -> str:
    """The definition of a state machine as JSON text, with its substitutions made. Raises TemplateError."""
    properties = wanted.properties
    location = fields(properties.get("DefinitionS3Location"))
    if LOCAL_PATH in location:
        text = Path(location[LOCAL_PATH]).read_text()
    elif "DefinitionString" in properties:
        text = as_text(properties["DefinitionString"])
    elif "Definition" in properties:
        text = json.dumps(properties["Definition"])
    else:
        raise TemplateError("the definition is not on this machine: name its file as DefinitionUri.")
    text = substituted(text, fields(properties.get("DefinitionSubstitutions")))
    if text.lstrip()[:1] == "{":
        return text
    try:
        return json.dumps(decode(text, Places(text)))
    except YamlSyntaxError as error:
        raise TemplateError(f"{location.get(LOCAL_PATH, 'the definition')}: {error.message}.") from None


def substituted(text: str, values: Mapping[str, Json]) -> str:
    """A definition with `${Name}` replaced by what DefinitionSubstitutions has for it."""
    for name, value in values.items():
        text = text.replace(f"${{{name}}}", as_text(value))
    return text


class Versions:
    """AWS::StepFunctions::StateMachineVersion."""

    def make(self, wanted: Wanted, world: World) -> Made:
        """Publish what the state machine is now."""
        arn = str(wanted.properties["StateMachineArn"])
        made = world.client("stepfunctions").publish_state_machine_version(stateMachineArn=arn)
        version = str(made["stateMachineVersionArn"])
        return Made(
            name=wanted.name, type=wanted.type, id=version, attributes={"Arn": version}, properties=wanted.properties
        )

    def update(self, wanted: Wanted, made: Made, world: World) -> Made:
        """A version never changes: publish another one."""
        return self.make(wanted, world)

    def resume(self, made: Made, world: World) -> None:
        """It is in the store."""

    def remove(self, made: Made, world: World) -> None:
        """Delete the version."""
        world.client("stepfunctions").delete_state_machine_version(stateMachineVersionArn=made.id)


class Aliases:
    """AWS::StepFunctions::StateMachineAlias. A gradual deployment is made at once."""

    def make(self, wanted: Wanted, world: World) -> Made:
        """Create the alias."""
        name = str(wanted.properties.get("Name") or wanted.name)
        routing = self._routing(wanted)
        arn = str(routing[0]["stateMachineVersionArn"]).rpartition(":")[0] + f":{name}"
        states = world.client("stepfunctions")
        try:
            states.create_state_machine_alias(name=name, routingConfiguration=routing)
        except Exception as error:
            if code_of(error) != "ConflictException":
                raise
            states.update_state_machine_alias(stateMachineAliasArn=arn, routingConfiguration=routing)
        return Made(name=wanted.name, type=wanted.type, id=arn, attributes={"Arn": arn}, properties=wanted.properties)

    def update(self, wanted: Wanted, made: Made, world: World) -> Made:
        """Point the alias elsewhere."""
        return self.make(wanted, world)

    def resume(self, made: Made, world: World) -> None:
        """It is in the store."""

    def remove(self, made: Made, world: World) -> None:
        """Delete the alias."""
        world.client("stepfunctions").delete_state_machine_alias(stateMachineAliasArn=made.id)

    def _routing(self, wanted: Wanted) -> list[dict[str, Json]]:
        target = dig(wanted.properties, "DeploymentPreference", "StateMachineVersionArn")
        if target:
            return [{"stateMachineVersionArn": target, "weight": 100}]
        return [
            {"stateMachineVersionArn": each["StateMachineVersionArn"], "weight": int(each["Weight"])}
            for each in items(wanted.properties.get("RoutingConfiguration"))
        ]


class Activities:
    """AWS::StepFunctions::Activity."""

    def make(self, wanted: Wanted, world: World) -> Made:
        """Create the activity."""
        name = str(wanted.properties["Name"])
        arn = str(world.client("stepfunctions").create_activity(name=name)["activityArn"])
        return Made(
            name=wanted.name,
            type=wanted.type,
            id=arn,
            attributes={"Arn": arn, "Name": name},
            properties=wanted.properties,
        )

    def update(self, wanted: Wanted, made: Made, world: World) -> Made:
        """An activity is its name."""
        new = self.make(wanted, world)
        if new.id != made.id:
            self.remove(made, world)
        return new

    def resume(self, made: Made, world: World) -> None:
        """It is in the store."""

    def remove(self, made: Made, world: World) -> None:
        """Delete the activity."""
        world.client("stepfunctions").delete_activity(activityArn=made.id)


def _told(error: BaseException) -> str:
    return str(dig(getattr(error, "response", None), "Error", "Message") or error)
