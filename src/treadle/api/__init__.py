"""The API of AWS Step Functions over HTTP: the JSON protocol, its operations, and the host that answers them."""
