/**
 * HEAD: the head of the answer that GET would get, its length included.
 *
 * Bun leaves out the body that an answer to HEAD has and sends its length; a body that is left out before, as Hono
 * does, would be told as one of length 0.
 */

const askedAsHead = new WeakSet<Request>();

/** The request that the routes answer: a HEAD as the GET that it is about. */
export function headAsGet(request: Request): Request {
  if (request.method !== "HEAD") return request;
  const get = new Request(request, { method: "GET" });
  askedAsHead.add(get);
  return get;
}

/** The method that the client named. */
export function askedMethod(request: Request): string {
  return askedAsHead.has(request) ? "HEAD" : request.method;
}
