import json
import os

import boto3

states = boto3.client("stepfunctions")


def allow(event, context):
    effect = "Allow" if event["headers"].get("x-key") == "let me in" else "Deny"
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": event["methodArn"]}
    return {"principalId": "me", "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}}


def handler(event, context):
    answer = states.start_sync_execution(
        stateMachineArn=os.environ["MACHINE"], input=json.dumps(event["pathParameters"])
    )
    return {"statusCode": 200, "body": answer["output"]}
