import os


def handler(order, context):
    total = sum(item["price"] * item["count"] for item in order["items"])
    if total > int(os.environ["LIMIT"]):
        raise ValueError(f"{total} is more than an order may cost")
    return {"total": total}
