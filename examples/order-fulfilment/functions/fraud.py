"""Scores an order."""

import time


def handler(event, context):
    time.sleep(0.5)
    print(f"scored order {event['order']}")
    return {"score": 0.02}
