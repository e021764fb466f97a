import os

import boto3

dynamodb = boto3.client("dynamodb")


def handler(event, context):
    for record in event["Records"]:
        for team in os.environ["TEAMS"].split(","):
            dynamodb.put_item(
                TableName=os.environ["PREFIX"] + team,
                Item={"id": {"S": record["Sns"]["MessageId"]}, "news": {"S": record["Sns"]["Message"]}},
            )
