/**
 * The answer to a command that does not exist: for those that people know from Redis, with what serves here.
 */
import { StoreError } from "../errors.ts";
import { suggestion } from "../usage.ts";
import { shown } from "./argument-errors.ts";
import type { Arguments } from "./arguments.ts";

/** `known` are the names of the commands that there are. */
export function unknownCommand(args: Arguments, known: readonly string[]): StoreError {
  const name = shown(args, 0);
  const hint = HINTS.get(name.toUpperCase());
  const help = hint === undefined ? suggestion(name, known) : `: ${hint}`;
  return new StoreError("INVALIDARG", `unknown command '${name}'${help}`);
}

const HINTS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    "events are appended with EAPPEND stream name [PAYLOAD data]":
      "SET SETEX SETNX GETSET APPEND INCR INCRBY HSET LPUSH RPUSH SADD ZADD XADD SPUBLISH",
    "a transaction of several events is EMAPPEND key|* stream name [options] …":
      "MSET MSETNX EVAL FCALL",
    "a stream is read with ESCAN stream - +, one event with EGET event_id":
      "GET MGET GETRANGE HGET HGETALL LRANGE LINDEX SMEMBERS ZRANGE XRANGE XREVRANGE",
    "a stream is followed with ESUB stream, or with ESCAN stream start + BLOCK ms, the start being the last version read plus 1":
      "XREAD XREADGROUP BLPOP BRPOP LPOP RPOP",
    "streams are listed with SCAN cursor [MATCH pattern], as redis-cli --scan --pattern does":
      "KEYS RANDOMKEY",
    "ESVER stream answers a stream's current version": "XLEN XINFO LLEN STRLEN HLEN SCARD ZCARD",
    "events are kept for ever": "DEL UNLINK EXPIRE FLUSHALL FLUSHDB XDEL XTRIM RENAME",
    "every acknowledged event is on the disk already": "SAVE BGSAVE BGREWRITEAOF WAIT",
  }).flatMap(([hint, names]) => names.split(" ").map((name) => [name, hint] as const)),
);
