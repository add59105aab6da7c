"""redis-py as a client: connect, append, read, both forms of pipeline(), quit.

usage: client.py PORT PROTOCOL. Appends one, two, three to py-PROTOCOL. Ends with 1 where a result is wrong.
"""

import sys

import redis

protocol = int(sys.argv[2])
client = redis.Redis(
    host="localhost", port=int(sys.argv[1]), protocol=protocol, decode_responses=True
)


def as_map(reply):
    """In RESP2 a map is a list of names and values in turn."""
    return reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2]))


stream = f"py-{protocol}"
assert client.ping() is True
appended = as_map(client.execute_command("EAPPEND", stream, "A", "PAYLOAD", "one"))
assert appended["stream_version"] == 0, appended

scan = as_map(client.execute_command("ESCAN", stream, "-", "+"))
assert scan["has_more"] == 0, scan
event = as_map(scan["events"][0])
assert list(event)[0] == "event_id" and len(event) == 11, event
assert event["payload"] == "one" and event["metadata"] == "", event
assert as_map(client.execute_command("EGET", appended["event_id"])) == event
assert client.execute_command("ESVER", "py-nobody") is None

with client.pipeline(transaction=False) as pipe:
    pipe.execute_command("EAPPEND", stream, "B", "PAYLOAD", "two")
    pipe.execute_command("EAPPEND", stream, "B", "PAYLOAD", "three")
    pipe.execute_command("ESVER", stream)
    second, third, version = pipe.execute()
assert as_map(second)["stream_version"] == 1, second
assert as_map(third)["stream_version"] == 2, third
assert version == 2, version

# The default wraps the pipeline in MULTI and EXEC: it must fail as a whole.
transaction = f"py-transaction-{protocol}"
with client.pipeline() as pipe:
    pipe.execute_command("EAPPEND", transaction, "A")
    pipe.execute_command("EAPPEND", transaction, "B")
    try:
        pipe.execute()
    except redis.ResponseError as error:
        assert "pipeline(transaction=False)" in str(error) or "EXECABORT" in str(error), error
    else:
        raise AssertionError("a MULTI was taken")
assert client.execute_command("ESVER", transaction) is None

# The connection that was refused a MULTI is back in the pool and works.
assert client.execute_command("ESVER", stream) == 2
assert client.execute_command("QUIT") in (True, "OK")
client.close()
