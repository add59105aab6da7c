"""CQRS: the command side writes to streams, the query side reads a projection of them.

The projection is brought up to date by reading the partition onwards from where the last reading ended.
usage: cqrs.py PORT, on an empty store. Ends with 1 where the result is wrong.
"""

import json
import sys
from dataclasses import asdict, dataclass

import redis

client = redis.Redis(
    host="localhost", port=int(sys.argv[1]), protocol=3, decode_responses=True
)

PARTITION_KEY = "550e8400-e29b-41d4-a716-446655440000"


@dataclass
class RegisterUser:
    user_id: str
    email: str
    name: str


@dataclass
class UserRegistered:
    email: str
    name: str


def append_event(stream_id, event):
    client.execute_command(
        "EAPPEND", stream_id, type(event).__name__,
        "PARTITION_KEY", PARTITION_KEY,
        "PAYLOAD", json.dumps(asdict(event)),
    )


# Command side: Write to event streams
def handle_register_user_command(command):
    event = UserRegistered(email=command.email, name=command.name)
    append_event("user-" + command.user_id, event)


# Query side: Read from projections
user_projection_db = {}


def get_user_profile(user_id):
    return user_projection_db.get(user_id)


# Keep projections updated
def update_projection_from_event(event):
    if event["event_name"] == "UserRegistered":
        user_id = event["stream_id"].removeprefix("user-")
        user_projection_db[user_id] = json.loads(event["payload"])


def update_user_projections(next_sequence):
    scan = client.execute_command("EPSCAN", PARTITION_KEY, next_sequence, "+", "COUNT", 2)
    for event in scan["events"]:
        update_projection_from_event(event)
        next_sequence = event["partition_sequence"] + 1
    return update_user_projections(next_sequence) if scan["has_more"] else next_sequence


for number in range(5):
    handle_register_user_command(
        RegisterUser(user_id=str(number), email=f"user{number}@example.com", name=f"User {number}")
    )

assert get_user_profile("0") is None
next_sequence = update_user_projections(0)
assert next_sequence == 5, next_sequence
assert get_user_profile("4") == {"email": "user4@example.com", "name": "User 4"}

handle_register_user_command(RegisterUser("5", "user5@example.com", "User 5"))
assert update_user_projections(next_sequence) == 6
assert get_user_profile("5") == {"email": "user5@example.com", "name": "User 5"}
assert get_user_profile("6") is None
