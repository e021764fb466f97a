def book(request, context):
    if request["what"] in request["trip"].get("full", []):
        raise RuntimeError(f"no {request['what']} is left")
    return {"id": f"{request['what']}-1"}


def cancel(booking, context):
    return {"cancelled": booking["id"]}
