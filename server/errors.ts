/**
 * Every error code that a client can see, in one table: neither door invents a code.
 *
 * A `StoreError` is the user's or the machine's doing and is answered; a bug of ours is not one (it is an
 * assertion, and crashes).
 */

export const ERRORS = {
  /** Wrong arguments or an unknown command; the text says what was expected and where. */
  INVALIDARG: { httpStatus: 400, retryable: false },
  /** EXPECTED_VERSION does not hold. */
  WRONGVER: { httpStatus: 412, retryable: false },
  /** The stream has another partition key. */
  WRONGKEY: { httpStatus: 409, retryable: false },
  /** The event id stands for other content. */
  DUPLICATE: { httpStatus: 409, retryable: false },
  /** A start beyond the end: the reader's checkpoint is from another history. */
  AHEAD: { httpStatus: 409, retryable: false },
  /** No such partition, subscription … */
  NOTFOUND: { httpStatus: 404, retryable: false },
  /** Above a limit; the text names it, its value and what was asked. */
  TOOLARGE: { httpStatus: 413, retryable: false },
  /** Nothing was written: a full disk, or a log fenced after a failed sync. */
  READONLY: { httpStatus: 503, retryable: true },
  /** The write or the sync failed: the append may or may not be there after a restart. */
  UNCERTAIN: { httpStatus: 503, retryable: true },
  /** The stored record is damaged; the text names file and offset. */
  CORRUPT: { httpStatus: 500, retryable: false },
  NOAUTH: { httpStatus: 401, retryable: false },
  WRONGPASS: { httpStatus: 401, retryable: false },
  NOPERM: { httpStatus: 403, retryable: false },
  /** RESP only: an unsupported protocol version, or a command that this version cannot carry. */
  NOPROTO: { httpStatus: 400, retryable: false },
  /** As in Redis: framing errors, another database, a command that the connection's state forbids. */
  ERR: { httpStatus: 400, retryable: false },
  EXECABORT: { httpStatus: 400, retryable: false },
  /** A bug; the text carries an id that the server's log has too, nothing else. */
  INTERNAL: { httpStatus: 500, retryable: false },
} as const;

export type ErrorCode = keyof typeof ERRORS;

/** Facts of an error that HTTP gives as members of the problem (protocol: "Errors"). */
export type ErrorFacts = Readonly<Record<string, string | number | null>>;

/** What the user or the machine did wrong; `message` is the text without the code. */
export class StoreError extends Error {
  override name = "StoreError";
  readonly code: ErrorCode;
  readonly facts: ErrorFacts;

  constructor(code: ErrorCode, message: string, facts: ErrorFacts = {}) {
    super(message);
    this.code = code;
    this.facts = facts;
  }
}

/** TOOLARGE, worded alike everywhere: which limit, its value, what was asked. */
export function tooLarge(limit: string, limitValue: number, asked: number): StoreError {
  return new StoreError(
    "TOOLARGE",
    `${limit} is limited to ${limitValue}, but ${asked} was asked`,
    {
      limit,
      limit_value: limitValue,
      asked,
    },
  );
}

/**
 * The store or an address cannot be opened: the process ends with exit code 1. The message is one line that says
 * why, with file and offset where it is damage.
 */
export class OpenError extends Error {
  override name = "OpenError";
}

/** An address at which nothing can listen, by the door's name and the flag that chooses another one. */
export function cannotListen(
  door: string,
  address: string,
  flag: string,
  error: unknown,
): OpenError {
  const { code, message } = error as NodeJS.ErrnoException;
  const reason = code === "EADDRINUSE" ? "another process listens there" : message;
  return new OpenError(`${door} cannot listen at ${address}: ${reason}; ${flag} chooses another`);
}

/** The log is damaged: the store is not opened, but what is intact can be had (`cairn dump`). */
export class DamageError extends OpenError {
  override name = "DamageError";
}
