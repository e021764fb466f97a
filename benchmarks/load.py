"""The load of the benchmark `api`, in a process of its own: as many requests as connections carry.

    python benchmarks/load.py URL OPERATION SECONDS BODY

`{n}` in BODY is the number of the request. Prints JSON: requests per second, p50 and p99 in milliseconds. The signature
is for routing alone: nobody here checks it, and making one would be measured, too.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import aiohttp

CONNECTIONS = 50
SCOPE = "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/states/aws4_request, SignedHeaders=host, Signature=0"


async def load(url: str, operation: str, seconds: float, body: str) -> dict[str, float]:
    """Ask over all connections for so many seconds. A request that is refused ends the benchmark."""
    headers = {
        "X-Amz-Target": f"AWSStepFunctions.{operation}",
        "Content-Type": "application/x-amz-json-1.0",
        "Authorization": SCOPE,
    }
    took: list[float] = []
    asked = 0
    begin = time.perf_counter()

    async def ask() -> None:
        nonlocal asked
        while time.perf_counter() < begin + seconds:
            asked += 1
            data = body.replace("{n}", str(asked))
            sent = time.perf_counter()
            async with session.post(url, data=data, headers=headers) as answer:
                text = await answer.text()
            if answer.status != 200 or json.loads(text).get("status", "SUCCEEDED") != "SUCCEEDED":
                raise SystemExit(f"{operation}: {answer.status} {text[:300]}")
            took.append(time.perf_counter() - sent)

    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(ask())
    elapsed = time.perf_counter() - begin
    took.sort()
    return {
        "per_second": len(took) / elapsed,
        "p50": took[len(took) // 2] * 1000,
        "p99": took[int(len(took) * 0.99)] * 1000,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(load(sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4]))))
