def handler(region, context):
    return {"region": region, "orders": len(region)}
