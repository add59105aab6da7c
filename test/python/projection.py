"""Building Projections: read all of a user's events and fold them into a read model.

usage: projection.py PORT, on an empty store. Ends with 1 where the result is wrong.
"""

import json
import sys

import redis

client = redis.Redis(
    host="localhost", port=int(sys.argv[1]), protocol=3, decode_responses=True
)


def build_user_projection(user_id):
    events = client.execute_command("ESCAN", f"user-{user_id}", "-", "+")

    user = {}
    for event in events["events"]:  # events is a RESP3 map with 'events' array
        event_name = event["event_name"]
        payload = json.loads(event["payload"])  # payload is a JSON string

        if event_name == "UserRegistered":
            user["email"] = payload["email"]
            user["name"] = payload["name"]
            user["created_at"] = event["timestamp"]

        elif event_name == "EmailVerified":
            user["email_verified"] = True
            user["verified_at"] = payload["verified_at"]

        elif event_name == "ProfileUpdated":
            user.update(payload)

    return user


assert build_user_projection(123) == {}

for name, payload in [
    ("UserRegistered", {"email": "alice@example.com", "name": "Alice Johnson"}),
    ("EmailVerified", {"verified_at": "2024-01-01"}),
    ("ProfileUpdated", {"name": "Alice Smith"}),
]:
    client.execute_command("EAPPEND", "user-123", name, "PAYLOAD", json.dumps(payload))

user_projection = build_user_projection(123)
created_at = user_projection.pop("created_at")
assert isinstance(created_at, int) and created_at > 0, created_at
assert user_projection == {
    "email": "alice@example.com",
    "name": "Alice Smith",
    "email_verified": True,
    "verified_at": "2024-01-01",
}, user_projection
