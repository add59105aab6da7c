/**
 * What a connection has written and its socket has not taken yet, in order. A socket takes what fits, so this is where
 * a slow client's bytes wait; the connection bounds them.
 */

/** What is needed of a socket: writes a part of some bytes, and answers how many it took (negative: none). */
interface ByteSocket {
  write(bytes: Uint8Array, start?: number, length?: number): number;
}

export class Unsent {
  /** Bytes that wait. */
  bytes = 0;
  private readonly socket: ByteSocket;
  private pieces: Uint8Array[] = [];

  constructor(socket: ByteSocket) {
    this.socket = socket;
  }

  /** Writes a part of some memory that need not outlive the call. */
  send(memory: Uint8Array, start: number, length: number): void {
    let sent = 0;
    if (this.bytes === 0) {
      sent = Math.max(0, this.socket.write(memory, start, length));
      if (sent === length) return;
    }
    this.pieces.push(memory.slice(start + sent, start + length));
    this.bytes += length - sent;
  }

  /** The socket takes bytes again: writes as many as it does. */
  drain(): void {
    while (this.pieces.length > 0) {
      const piece = this.pieces[0] as Uint8Array;
      const sent = Math.max(0, this.socket.write(piece));
      this.bytes -= sent;
      if (sent < piece.length) {
        this.pieces[0] = piece.subarray(sent);
        return;
      }
      this.pieces.shift();
    }
  }

  /** Forgets all of it. */
  clear(): void {
    this.pieces = [];
    this.bytes = 0;
  }
}
