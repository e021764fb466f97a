import json
import os

import boto3

states = boto3.client("stepfunctions")


def handler(event, context):
    order = json.loads(event["body"])
    started = states.start_execution(
        stateMachineArn=os.environ["MACHINE"], name=f"order-{order['id']}", input=json.dumps(order)
    )
    return {"statusCode": 202, "body": json.dumps({"execution": started["executionArn"]})}
