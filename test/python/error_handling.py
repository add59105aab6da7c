"""Error Handling: a conflict of versions is told by its text, and is no other error.

usage: error_handling.py PORT, on an empty store. Ends with 1 where the result is wrong.
"""

import json
import sys

import redis

client = redis.Redis(
    host="localhost", port=int(sys.argv[1]), protocol=3, decode_responses=True
)


def update_user_profile(user_id, current_version, updates):
    try:
        client.execute_command(
            "EAPPEND", f"user-{user_id}",
            "ProfileUpdated",
            "EXPECTED_VERSION", current_version,
            "PAYLOAD", json.dumps(updates),
        )
        return True
    except redis.ResponseError as e:
        if "wrong expected version" in str(e):
            # Handle concurrency conflict
            return False
        raise


# A stream without events has no version to expect.
assert update_user_profile(123, 0, {"name": "Alice"}) is False

client.execute_command("EAPPEND", "user-123", "UserRegistered")
assert update_user_profile(123, 0, {"name": "Alice"}) is True
assert update_user_profile(123, 0, {"name": "Bob"}) is False
assert update_user_profile(123, 1, {"name": "Carol"}) is True
assert client.execute_command("ESVER", "user-123") == 2

names = [
    json.loads(event["payload"])["name"]
    for event in client.execute_command("ESCAN", "user-123", "1", "+")["events"]
]
assert names == ["Alice", "Carol"], names

try:
    update_user_profile(123, "two", {})
except redis.ResponseError as e:
    assert str(e).startswith("INVALIDARG ") and "wrong expected version" not in str(e), e
else:
    raise AssertionError("a version that is none was taken")
