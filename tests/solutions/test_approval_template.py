"""The template is right, the definition is right, and the Terraform module has the same resources."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from approval_template import SAM, TEMPLATE

from treadle.solutions.approval import FOLDER

TERRAFORM = FOLDER / "terraform"
MODULES = sorted(TERRAFORM.glob("*.tf"))
SOURCE = "\n".join(path.read_text() for path in MODULES)
RESOURCE = re.compile(r'^resource "(\w+)" "(\w+)" \{$(.*?)^\}$', re.MULTILINE | re.DOTALL)
RESOURCES = {(kind, name): body for kind, name, body in RESOURCE.findall(SOURCE)}

TYPES = {
    "AWS::S3::Bucket": "aws_s3_bucket",
    "AWS::S3::BucketPolicy": "aws_s3_bucket_policy",
    "AWS::DynamoDB::Table": "aws_dynamodb_table",
    "AWS::SNS::Topic": "aws_sns_topic",
    "AWS::SecretsManager::Secret": "aws_secretsmanager_secret",
    "AWS::IAM::Role": "aws_iam_role",
    "AWS::Serverless::HttpApi": "aws_apigatewayv2_api",
    "AWS::Serverless::StateMachine": "aws_sfn_state_machine",
    "AWS::Logs::LogGroup": "aws_cloudwatch_log_group",
    "AWS::CloudWatch::Alarm": "aws_cloudwatch_metric_alarm",
}


def snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def functions() -> dict[str, Any]:
    return {name: each["Properties"] for name, each in SAM.items() if each["Type"] == "AWS::Serverless::Function"}


def test_cfn_lint_finds_nothing() -> None:
    command = [Path(sys.executable).parent / "cfn-lint", FOLDER / "template.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_module_has_each_resource_of_the_template_and_no_more_of_its_kind() -> None:
    wanted = {(TYPES[each["Type"]], snake(name)) for name, each in SAM.items() if each["Type"] in TYPES}
    assert {key for key in RESOURCES if key[0] in TYPES.values()} == wanted
    assert {each["Type"] for each in SAM.values()} - set(TYPES) == {"AWS::Serverless::Function"}


def test_the_functions_have_the_same_handlers_roles_times_and_variables() -> None:
    local = SOURCE.split("functions = {\n")[1].split("\n  routes = ")[0]
    found = re.findall(r"^    (\w+) = \{$(.*?)^    \}$", local, re.MULTILINE | re.DOTALL)
    assert {name for name, _ in found} == {snake(name) for name in functions()}
    for name, body in found:
        wanted = functions()[name.title()]
        assert wanted["Handler"] == f"{name}.handler"
        role = wanted["Role"].split()[1].removesuffix(".Arn")
        assert f"aws_iam_role.{snake(role)}.arn" in body
        assert f"aws_cloudwatch_log_group.{snake(wanted['LoggingConfig']['LogGroup'].split()[1])}.name" in body
        timeout = wanted.get("Timeout", TEMPLATE["Globals"]["Function"]["Timeout"])
        assert re.search(rf"timeout += {timeout}$", body, re.MULTILINE)
        assert set(re.findall(r"^        (\w+) +=", body, re.MULTILINE)) == set(wanted["Environment"]["Variables"])


def test_the_routes_are_the_same() -> None:
    routed = re.search(r"routes = toset\(\[(.*?)\]\)", SOURCE)
    assert routed is not None
    wanted = {each["Events"]["Post"]["Properties"]["Path"] for each in functions().values() if "Events" in each}
    assert {f"/{name}" for name in re.findall(r'"(\w+)"', routed[1])} == wanted


def test_the_definition_has_the_same_substitutions_in_both() -> None:
    body = RESOURCES["aws_sfn_state_machine", "workflow"]
    given = set(re.findall(r"^    (\w+) +=", body.split("templatefile(")[1].split("})")[0], re.MULTILINE))
    used = set(re.findall(r"\$\{(\w+)\}", (FOLDER / "statemachine.asl.yaml").read_text()))
    assert given == used == set(SAM["Workflow"]["Properties"]["DefinitionSubstitutions"])
    # Terraform would take it for a directive.
    assert "%{" not in (FOLDER / "statemachine.asl.yaml").read_text()


@pytest.mark.parametrize("role", ["ApiRole", "CallbackRole", "WorkflowRole", "UserRole"])
def test_a_role_may_do_the_same_in_both(role: str) -> None:
    [policy] = SAM[role]["Properties"]["Policies"]
    statements = policy["PolicyDocument"]["Statement"]
    actions = Counter(action for each in statements for action in as_list(each["Action"]))
    body = RESOURCES["aws_iam_role_policy", snake(role)]
    assert Counter(re.findall(r'"((?:[a-z0-9]+):[A-Z]\w+)"', body)) == actions
    assert not any(action.endswith("*") for action in actions)
    everything = [each for each in statements if each["Resource"] == "*"]
    known = ("logs:", "xray:", "states:SendTask")
    assert all(action.startswith(known) for each in everything for action in as_list(each["Action"]))


def as_list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def test_what_the_module_refers_to_is_there() -> None:
    referred = set(re.findall(r"(?<![\w.])(aws_\w+|random_\w+)\.(\w+)", SOURCE))
    assert [each for each in sorted(referred) if each not in RESOURCES] == []
    variables = set(re.findall(r'^variable "(\w+)"', SOURCE, re.MULTILINE))
    assert set(re.findall(r"\bvar\.(\w+)", SOURCE)) == variables


def unformatted(text: str) -> Iterator[str]:
    """Where a file is not as `terraform fmt` writes it: the indentation, the spaces, the column of `=`."""
    depth, run = 0, list[tuple[int, int]]()
    for number, line in enumerate([*text.split("\n"), ""], 1):
        if line != line.rstrip() or "\t" in line:
            yield f"{number}: spaces at the end, or a tab"
        plain = re.sub(r'"(?:\\.|[^"])*"', '""', line.partition(" # ")[0] if not line.lstrip().startswith("#") else "")
        closes = len(re.match(r"[\s\]})]*", plain)[0].strip()) > 0 if plain else False  # type: ignore[index]
        opened = sum(map(plain.count, "[{(")) - sum(map(plain.count, "]})"))
        level = depth - (1 if closes else 0)
        if line.strip() and len(line) - len(line.lstrip()) != 2 * level:
            yield f"{number}: {2 * level} spaces are wanted"
        depth += (opened > 0) - (opened < 0)
        assigned = re.match(r"\s*(\"?[\w:-]+\"?) *= ", line)
        if assigned and opened == 0:
            run.append((number, line.index("= ")))
            name = assigned[1]
            run[-1] = (number, line.index("= ", line.index(name) + len(name)))
            continue
        if len({column for _, column in run}) > 1:
            yield f"{run[0][0]}: the columns of = differ"
        run = []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_the_module_has_the_canonical_format(path: Path) -> None:
    text = path.read_text()
    assert list(unformatted(text)) == []
    assert text.endswith("\n") and not text.endswith("\n\n") and "\n\n\n" not in text


@pytest.mark.parametrize(
    "text", ['a = {\n   b = 1\n}\n', "a = {\n  b = 1\n  cc = 2\n}\n", "a = 1 \n", "a {\n\tb = 1\n}\n"]
)  # fmt: skip
def test_the_check_of_the_format_finds(text: str) -> None:
    assert list(unformatted(text))
