"""Packs one item."""

import time


def handler(event, context):
    time.sleep(0.2)
    return {"parcel": f"{event['order']}-{event['item']}"}
