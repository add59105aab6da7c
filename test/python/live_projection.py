"""Real-time Projections: keep a read model up to date from a live feed, which redis-py gives with psubscribe.

usage: live_projection.py PORT, on an empty store. Ends with 1 where the result is wrong.
"""

import json
import sys

import redis

users = {}


def save_user_to_db(stream_id, payload):
    users[stream_id] = payload


def update_user_in_db(stream_id, payload):
    users[stream_id].update(payload)


def update_projection(event):
    stream_id = event["stream_id"]
    event_name = event["event_name"]
    payload = json.loads(event["payload"])

    # Update your read model/database
    if event_name == "UserRegistered":
        save_user_to_db(stream_id, payload)
    elif event_name == "ProfileUpdated":
        update_user_in_db(stream_id, payload)


for protocol in (2, 3):
    client = redis.Redis(
        host="localhost", port=int(sys.argv[1]), protocol=protocol, decode_responses=True
    )

    # Subscribe to all user events
    subscription = client.pubsub(ignore_subscribe_messages=True)
    subscription.psubscribe("user-*")
    while not subscription.subscribed or subscription.get_message(timeout=5) is not None:
        pass

    alice, bob = f"user-a{protocol}", f"user-b{protocol}"
    client.execute_command("EAPPEND", alice, "UserRegistered", "PAYLOAD", '{"name":"Alice"}')
    client.execute_command("EAPPEND", f"order-{protocol}", "OrderCreated", "PAYLOAD", "{}")
    client.execute_command("EAPPEND", bob, "UserRegistered", "PAYLOAD", '{"name":"Bob"}')
    client.execute_command("EAPPEND", alice, "ProfileUpdated", "PAYLOAD", '{"city":"Zürich"}')
    client.execute_command("EAPPEND", bob, "UserLeft", "PAYLOAD", "{}")

    # Process events as they arrive
    for message in subscription.listen():
        event = json.loads(message["data"])
        assert message["channel"] == event["stream_id"], message
        update_projection(event)
        if event["event_name"] == "UserLeft":
            break

    assert users[alice] == {"name": "Alice", "city": "Zürich"}, users
    assert users[bob] == {"name": "Bob"}, users
    subscription.close()
    client.close()

assert len(users) == 4, users
