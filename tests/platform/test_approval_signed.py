"""`treadle approval` signs with the environment's key where there is one."""

import json
import os
import subprocess
from pathlib import Path

from served_up import TREADLE, Up

# What the commands look for, and no more.
TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Bucket: {Type: AWS::S3::Bucket}
  CallbackToken: {Type: AWS::SecretsManager::Secret, Properties: {GenerateSecretString: {PasswordLength: 16}}}
  Api: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: api, ProtocolType: HTTP}}
  Workflow:
    Type: AWS::Serverless::StateMachine
    Properties: {Name: workflow, Definition: {StartAt: P, States: {P: {Type: Pass, End: true}}}}
"""


def test_the_commands_work_behind_a_guard_with_a_key_that_it_knows(tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    (tmp_path / "input.json").write_text("{}")
    keys = tmp_path / "keys.yaml"
    keys.write_text('AKIATREADLE: "of ours"\n')
    keys.chmod(0o600)
    (tmp_path / "credentials").write_text("[me]\naws_access_key_id = AKIATREADLE\naws_secret_access_key = of ours\n")
    up = Up(tmp_path / "data", str(tmp_path), "--auth", str(keys))

    def approval(*words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        plain = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        command = [*TREADLE, "approval", *words, "--data", str(tmp_path / "data"), "--json"]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=plain | variables)

    start = ("start", str(tmp_path / "input.json"), "--name", "one")
    refused = approval(*start)
    assert (refused.returncode, "InvalidAccessKeyId" in refused.stderr) == (2, True)
    started = approval(*start, AWS_ACCESS_KEY_ID="AKIATREADLE", AWS_SECRET_ACCESS_KEY="of ours")
    assert json.loads(started.stdout) == {"execution": "one"}, started.stderr
    profile = {"AWS_PROFILE": "me", "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials")}
    told = json.loads(approval("results", "one", **profile).stdout)
    assert told["execution"] == "one"
    assert up.end() == 0
