"""The template is right, and the Terraform module makes the same: resources, rights, variables, the definition.

Both are read by parsers and compared as data. What refers to a resource is written the same way for both first:
`<topic.arn>` is `!Ref Topic` as well as `aws_sns_topic.topic.arn`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from approval_template import SAM, TEMPLATE
from approval_terraform import DATA, FILES, FUNCTIONS, LOCALS, OUTPUTS, RESOURCES, VARIABLES, one, read, value
from terraform_format import unformatted

from treadle.solutions.approval import FOLDER

DEFINITION = (FOLDER / "statemachine.asl.yaml").read_text()

TYPES = {
    "AWS::S3::Bucket": ("aws_s3_bucket", "id"),
    "AWS::S3::BucketPolicy": ("aws_s3_bucket_policy", "id"),
    "AWS::DynamoDB::Table": ("aws_dynamodb_table", "name"),
    "AWS::SNS::Topic": ("aws_sns_topic", "arn"),
    "AWS::SecretsManager::Secret": ("aws_secretsmanager_secret", "arn"),
    "AWS::IAM::Role": ("aws_iam_role", "name"),
    "AWS::Serverless::HttpApi": ("aws_apigatewayv2_api", "id"),
    "AWS::Serverless::StateMachine": ("aws_sfn_state_machine", "arn"),
    "AWS::Logs::LogGroup": ("aws_cloudwatch_log_group", "name"),
    "AWS::CloudWatch::Alarm": ("aws_cloudwatch_metric_alarm", "arn"),
}
"""By type in the template: the type in Terraform, and what `!Ref` gives."""

ROLES = ("ApiRole", "CallbackRole", "WorkflowRole", "UserRole")


def snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def of(kind: str) -> dict[str, Any]:
    """The resources of one type, by the name that they have in both."""
    return {snake(name): each["Properties"] for name, each in SAM.items() if each["Type"] == kind}


def terraform(kind: str, name: str) -> Any:
    return RESOURCES[kind, name]


# ---- references, written the same way for both


def told_in_template(given: Any) -> Any:
    match given:
        case dict():
            return {name: told_in_template(each) for name, each in given.items()}
        case list():
            return [told_in_template(each) for each in given]
        case str() if given.startswith("!Ref "):
            return referred(given[5:])
        case str() if given.startswith("!GetAtt "):
            return attribute(given[8:])
        case str() if given.startswith("!Sub "):
            return re.sub(r"\$\{([\w.:]+)\}", lambda each: referred(each[1]), given[5:].strip("'"))
        case _:
            return given


def referred(name: str) -> str:
    if "." in name:
        return attribute(name)
    if name not in SAM:
        return f"<{name.removeprefix('AWS::').lower()}>" if "::" in name else f"<var.{snake(name)}>"
    kind = SAM[name]["Type"]
    return f"<{snake(name)}.{TYPES[kind][1]}>"


def attribute(path: str) -> str:
    name, _, wanted = path.partition(".")
    # Terraform gives the ARN of a log group without the end that CloudFormation gives.
    end = ":*" if SAM[name]["Type"] == "AWS::Logs::LogGroup" else ""
    return f"<{snake(name)}.{snake(wanted)}>{end}"


KNOWN = {
    "data.aws_partition.current.partition": "<partition>",
    "data.aws_caller_identity.current.account_id": "<accountid>",
    "local.execution_arn": "arn:<partition>:states:<region>:<accountid>:execution:<workflow.name>",
    "aws_s3_bucket.bucket.bucket": "<bucket.id>",
}


def told_in_terraform(given: Any) -> Any:
    match given:
        case dict():
            return {name: told_in_terraform(each) for name, each in given.items()}
        case list():
            return [told_in_terraform(each) for each in given]
        case str():
            return re.sub(r"\$\{([^}]+)\}", lambda each: reference(each[1]), given)
        case _:
            return given


def reference(path: str) -> str:
    if path in KNOWN:
        return KNOWN[path]
    if found := re.fullmatch(r'aws_lambda_function\.functions\["(\w+)"\]\.(\w+)', path):
        return f"<{found[1]}.{found[2]}>"
    if found := re.fullmatch(r'(?:join\(",", )?var\.(\w+)\)?', path):
        return f"<var.{found[1]}>"
    kind, name, wanted = path.split(".")
    assert (kind, name) in RESOURCES, path
    return f"<{name}.{wanted}>"


# ---- the template itself


def test_cfn_lint_finds_nothing() -> None:
    command = [Path(sys.executable).parent / "cfn-lint", FOLDER / "template.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


# ---- the same in both


def test_the_module_has_each_resource_of_the_template_and_no_more_of_its_kind() -> None:
    kinds = {kind for kind, _ in TYPES.values()}
    wanted = {(TYPES[each["Type"]][0], snake(name)) for name, each in SAM.items() if each["Type"] in TYPES}
    assert {key for key in RESOURCES if key[0] in kinds} == wanted
    assert {each["Type"] for each in SAM.values()} - set(TYPES) == {"AWS::Serverless::Function"}


def test_the_functions_are_the_same() -> None:
    common, shared = TEMPLATE["Globals"]["Function"], terraform("aws_lambda_function", "functions")
    assert set(FUNCTIONS) == set(of("AWS::Serverless::Function"))
    assert (shared["handler"], shared["memory_size"]) == ("${each.key}.handler", common["MemorySize"])
    assert VARIABLES["lambda_runtime"]["default"] == common["Runtime"]
    for name, wanted in of("AWS::Serverless::Function").items():
        assert wanted["Handler"] == f"{name}.handler"
        assert told_in_terraform(FUNCTIONS[name]) == told_in_template(
            {
                "role": wanted["Role"],
                "logs": wanted["LoggingConfig"]["LogGroup"],
                "timeout": wanted.get("Timeout", common["Timeout"]),
                "variables": wanted["Environment"]["Variables"],
            }
        )


def test_what_calls_the_functions_is_the_same() -> None:
    called = {name: each["Events"] for name, each in of("AWS::Serverless::Function").items() if "Events" in each}
    routes = {name: each["Post"]["Properties"] for name, each in called.items() if "Post" in each}
    assert {(each["Path"], each["Method"]) for each in routes.values()} == {(f"/{name}", "post") for name in routes}
    assert set(value(re.fullmatch(r"\$\{toset\((.*)\)\}", LOCALS["routes"])[1])) == set(routes)  # type: ignore[index]
    assert terraform("aws_apigatewayv2_route", "functions")["route_key"] == "POST /${each.key}"
    minute = called["sweep"]["Minute"]["Properties"]
    assert terraform("aws_cloudwatch_event_rule", "sweep_minute")["schedule_expression"] == minute["Schedule"]
    assert told_in_terraform(terraform("aws_cloudwatch_event_target", "sweep_minute")["arn"]) == "<sweep.arn>"
    allowed = {name: body["principal"] for (kind, name), body in RESOURCES.items() if kind == "aws_lambda_permission"}
    assert allowed == {"functions": "apigateway.amazonaws.com", "sweep_minute": "events.amazonaws.com"}
    assert set(called) - set(routes) == {"sweep"}


def test_the_api_is_the_same() -> None:
    [wanted] = of("AWS::Serverless::HttpApi").values()
    api, stage = terraform("aws_apigatewayv2_api", "api"), terraform("aws_apigatewayv2_stage", "api")
    cors = wanted["CorsConfiguration"]
    assert told_in_terraform(one(api, "cors_configuration")) == {
        snake(name): told_in_template(each) for name, each in cors.items()
    }
    assert one(stage, "default_route_settings") == {
        snake(name): each for name, each in wanted["DefaultRouteSettings"].items()
    }
    logged = one(stage, "access_log_settings")
    assert logged["format"] == json.loads(wanted["AccessLogSettings"]["Format"])
    assert f"{told_in_terraform(logged['destination_arn'])}:*" == told_in_template(
        wanted["AccessLogSettings"]["DestinationArn"]
    )


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_the_same_in_both(role: str) -> None:
    properties, name = SAM[role]["Properties"], snake(role)
    trusted = terraform("aws_iam_role", name)["assume_role_policy"]
    if trusted == "${local.lambda_trust}":
        trusted = LOCALS["lambda_trust"]
    assert statements(told_in_terraform(trusted)) == statements(
        told_in_template(properties["AssumeRolePolicyDocument"])
    )
    [policy] = properties["Policies"]
    wanted = statements(told_in_template(policy["PolicyDocument"]))
    assert statements(told_in_terraform(terraform("aws_iam_role_policy", name)["policy"])) == wanted


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_no_more_than_it_must(role: str) -> None:
    [policy] = SAM[role]["Properties"]["Policies"]
    for each in policy["PolicyDocument"]["Statement"]:
        actions = as_list(each["Action"])
        assert not any("*" in action for action in actions)
        # Only actions that know no resource may have all of them.
        assert each["Resource"] != "*" or all(one.startswith(("logs:", "xray:", "states:SendTask")) for one in actions)


def as_list(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [given]


def statements(policy: dict[str, Any]) -> list[str]:
    """Statements as text, whatever the order of what they have, and of themselves."""
    assert policy["Version"] == "2012-10-17"

    def sorted_lists(each: dict[str, Any]) -> dict[str, Any]:
        return {
            name: sorted(as_list(given)) if name in ("Action", "Resource") else given for name, given in each.items()
        }

    return sorted(json.dumps(sorted_lists(each), sort_keys=True) for each in policy["Statement"])


def test_the_state_machine_is_the_same() -> None:
    wanted, body = SAM["Workflow"]["Properties"], terraform("aws_sfn_state_machine", "workflow")
    call = re.search(r'templatefile\("(.*?)", (\{.*\})\)', body["definition"], re.DOTALL)
    assert call is not None and call[1] == "${path.module}/../" + wanted["DefinitionUri"]
    given = told_in_terraform(value(call[2]))
    assert given == told_in_template(wanted["DefinitionSubstitutions"])
    assert set(given) == set(re.findall(r"\$\{(\w+)\}", DEFINITION))
    # Terraform would take it for a directive.
    assert "%{" not in DEFINITION
    assert (body["type"], told_in_terraform(body["role_arn"])) == (wanted["Type"], told_in_template(wanted["Role"]))
    logged = one(body, "logging_configuration")
    [group] = wanted["Logging"]["Destinations"]
    assert (logged["level"], logged["include_execution_data"]) == ("ALL", False)
    assert (wanted["Logging"]["Level"], wanted["Logging"]["IncludeExecutionData"]) == ("ALL", False)
    assert told_in_terraform(logged["log_destination"]) == told_in_template(
        group["CloudWatchLogsLogGroup"]["LogGroupArn"]
    )
    assert one(body, "tracing_configuration", "enabled") is wanted["Tracing"]["Enabled"] is True


@pytest.mark.parametrize("name", of("AWS::DynamoDB::Table"))
def test_a_table_is_the_same(name: str) -> None:
    wanted, body = of("AWS::DynamoDB::Table")[name], terraform("aws_dynamodb_table", name)
    assert body["billing_mode"] == wanted["BillingMode"]
    assert keys(body) == [(each["AttributeName"], each["KeyType"]) for each in wanted["KeySchema"]]
    assert [(each["name"], each["type"]) for each in body["attribute"]] == [
        (each["AttributeName"], each["AttributeType"]) for each in wanted["AttributeDefinitions"]
    ]
    assert [(each["name"], keys(each), each["projection_type"]) for each in body.get("global_secondary_index", [])] == [
        (
            each["IndexName"],
            [(key["AttributeName"], key["KeyType"]) for key in each["KeySchema"]],
            each["Projection"]["ProjectionType"],
        )
        for each in wanted.get("GlobalSecondaryIndexes", [])
    ]
    ttl = one(body, "ttl", "attribute_name") if "ttl" in body else None
    assert ttl == wanted.get("TimeToLiveSpecification", {}).get("AttributeName")
    assert one(body, "server_side_encryption", "enabled") is wanted["SSESpecification"]["SSEEnabled"] is True
    recovery = wanted["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]
    assert one(body, "point_in_time_recovery", "enabled") is recovery is True


def keys(body: dict[str, Any]) -> list[tuple[str, str]]:
    found = [("hash_key", "HASH"), ("range_key", "RANGE")]
    return [(body[name], kind) for name, kind in found if name in body]


def test_the_bucket_is_as_safe_in_both() -> None:
    wanted = SAM["Bucket"]["Properties"]
    encryption = terraform("aws_s3_bucket_server_side_encryption_configuration", "bucket")
    algorithm = one(encryption, "rule", "apply_server_side_encryption_by_default", "sse_algorithm")
    [rule] = wanted["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == algorithm == "AES256"
    blocked = dict(terraform("aws_s3_bucket_public_access_block", "bucket"))
    assert told_in_terraform(blocked.pop("bucket")) == "<bucket.id>"
    assert blocked == {snake(name): each for name, each in wanted["PublicAccessBlockConfiguration"].items()}
    assert all(blocked.values()) and len(blocked) == 4
    status = one(terraform("aws_s3_bucket_versioning", "bucket"), "versioning_configuration", "status")
    assert status == wanted["VersioningConfiguration"]["Status"] == "Enabled"
    policy = terraform("aws_s3_bucket_policy", "bucket_policy")["policy"]
    template = told_in_template(SAM["BucketPolicy"]["Properties"]["PolicyDocument"])
    assert statements(told_in_terraform(policy)) == statements(template)


def test_logs_secrets_topic_and_alarm_are_the_same() -> None:
    for name, wanted in of("AWS::Logs::LogGroup").items():
        kept = told_in_terraform(terraform("aws_cloudwatch_log_group", name)["retention_in_days"])
        assert kept == told_in_template(wanted["RetentionInDays"]) == "<var.log_days>"
    for name, wanted in of("AWS::SecretsManager::Secret").items():
        assert terraform("aws_secretsmanager_secret", name)["description"] == wanted["Description"]
        made = wanted["GenerateSecretString"]
        random = terraform("random_password", "tokens")
        assert (random["length"], random["special"]) == (made["PasswordLength"], not made["ExcludePunctuation"])
        assert ("aws_secretsmanager_secret_version", name) in RESOURCES
    key = terraform("aws_sns_topic", "stakeholders")["kms_master_key_id"]
    assert key == SAM["Stakeholders"]["Properties"]["KmsMasterKeyId"]
    alarm = told_in_template(SAM["FailedWorkflows"]["Properties"])
    body = told_in_terraform(terraform("aws_cloudwatch_metric_alarm", "failed_workflows"))
    assert body.pop("alarm_name") == "<var.project_name>-failed-workflows"
    alarm["Dimensions"] = {each["Name"]: each["Value"] for each in alarm["Dimensions"]}
    assert body == {snake(name): each for name, each in alarm.items()}


def test_the_outputs_are_the_same() -> None:
    wanted = {snake(name): told_in_template(each["Value"]) for name, each in TEMPLATE["Outputs"].items()}
    assert told_in_terraform(OUTPUTS) == wanted


def test_the_variables_have_the_same_names_and_defaults() -> None:
    wanted = {snake(name): each["Default"] for name, each in TEMPLATE["Parameters"].items()}
    found = {name: each["default"] for name, each in VARIABLES.items()}
    # On AWS there is TLS; a stack has a name and a runtime of its own.
    del wanted["require_tls"], found["project_name"], found["lambda_runtime"]
    assert {name: ",".join(each) if isinstance(each, list) else each for name, each in found.items()} == wanted


def test_what_the_module_refers_to_is_there() -> None:
    source = "\n".join(path.read_text() for path in FILES)
    plain = re.sub(r"#.*", "", source)
    referred = set(re.findall(r"(?<![\w.\"])((?:aws|random)_\w+)\.(\w+)\b", plain))
    assert sorted(referred - set(RESOURCES)) == []
    assert set(re.findall(r"\bdata\.(\w+)\.(\w+)", plain)) == DATA
    assert set(re.findall(r"\bvar\.(\w+)", plain)) == set(VARIABLES)
    assert set(re.findall(r"\blocal\.(\w+)", plain)) == set(LOCALS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_module_has_the_canonical_format(path: Path) -> None:
    text = path.read_text()
    assert list(unformatted(text)) == []
    assert text.endswith("\n") and not text.endswith("\n\n") and "\n\n\n" not in text


@pytest.mark.parametrize(
    "text", ["a = {\n   b = 1\n}\n", "a = {\n  b = 1\n  cc = 2\n}\n", "a = 1 \n", "a {\n\tb = 1\n}\n"]
)
def test_the_check_of_the_format_finds(text: str) -> None:
    read(text)
    assert list(unformatted(text))
