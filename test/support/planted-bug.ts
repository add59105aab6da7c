/**
 * Loaded before the server's sources by a test that starts them: a subscription meets a bug when it is to give its first
 * event.
 */
import { EventEncoder } from "../../server/store/event-encoder.ts";

EventEncoder.prototype.examine = () => {
  throw new TypeError("planted: a bug in a slice");
};
