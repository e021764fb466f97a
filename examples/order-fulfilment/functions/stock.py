"""Looks up whether the items are in stock."""

import time


def handler(event, context):
    time.sleep(0.3)
    return {"inStock": len(event["items"])}
