"""Saga Pattern: a process that keeps its steps in a stream, and goes on from what is there.

usage: saga.py PORT, on an empty store. Ends with 1 where the result is wrong.
"""

import json
import sys

import redis

client = redis.Redis(
    host="localhost", port=int(sys.argv[1]), protocol=3, decode_responses=True
)

STEPS = [
    ("OrderSagaStarted", {"order_id": "order-123"}),
    ("PaymentRequested", {"amount": 100}),
    ("PaymentCompleted", {"transaction_id": "tx-456"}),
    ("InventoryReserved", {"items": ["laptop"]}),
    ("OrderSagaCompleted", {}),
]


def next_step(saga_id):
    """Takes the step that is due, or none where the saga is complete."""
    version = client.execute_command("ESVER", saga_id)
    done = 0 if version is None else version + 1
    if done == len(STEPS):
        return None
    name, payload = STEPS[done]
    client.execute_command(
        "EAPPEND", saga_id, name,
        "EXPECTED_VERSION", "empty" if version is None else version,
        "PAYLOAD", json.dumps(payload),
    )
    return name


taken = []
while (step := next_step("saga-order-123")) is not None:
    taken.append(step)
assert taken == [name for name, _ in STEPS], taken

scan = client.execute_command("ESCAN", "saga-order-123", "-", "+")
assert scan["has_more"] is False, scan
read = [(event["event_name"], json.loads(event["payload"])) for event in scan["events"]]
assert read == STEPS, read
