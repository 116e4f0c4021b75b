// Just enough of a router for a service with a dozen routes.

import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";

import { inRequest } from "./context.js";
import { DatabaseError, failureFacts, isRetryable, Refusal } from "./errors.js";
import { log } from "./log.js";
import type { ErrorBody, FailureKind } from "./types.js";

export interface Request {
  params: Record<string, string>;
  query: URLSearchParams;
  body: unknown;
  /** The user that the gateway has identified. Only the gateway may reach this service. */
  actor: string | null;
}

export interface Reply {
  status: number;
  body: unknown;
}

export type Handler = (request: Request) => Promise<Reply>;

export interface Route {
  method: string;
  /** As `/auth/users/:id`. */
  path: string;
  handle: Handler;
}

const MOST_BYTES = 64 * 1024;

const STATUS: Record<FailureKind, number> = {
  invalid: 400,
  forbidden: 403,
  not_found: 404,
  duplicate: 409,
  conflict: 409,
  deadlock: 503,
  timeout: 503,
  unreachable: 503,
  internal: 500,
};

export function serve(routes: Route[]): Server {
  return createServer((incoming, response) => {
    void answer(routes, incoming, response);
  });
}

async function answer(routes: Route[], incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(incoming.url ?? "/", "http://service");
  const found = match(routes, incoming.method ?? "GET", url.pathname);
  const requestId = one(incoming.headers["x-request-id"]) ?? randomUUID();
  const actor = one(incoming.headers["x-user-id"]) ?? null;
  const route = found ? `${found.route.method} ${found.route.path}` : "none";
  await inRequest({ requestId, route, actor }, async () => {
    let reply: Reply;
    try {
      if (!found) throw new Refusal("not_found", `there is no ${incoming.method} ${url.pathname}`);
      const body = await read(incoming);
      reply = await found.route.handle({ params: found.params, query: url.searchParams, body, actor });
    } catch (error) {
      reply = failed(error, requestId);
    }
    const text = reply.body === undefined ? "" : JSON.stringify(reply.body);
    response.writeHead(reply.status, { "content-type": "application/json", "x-request-id": requestId });
    response.end(text);
  });
}

function match(routes: Route[], method: string, path: string): { route: Route; params: Record<string, string> } | null {
  const parts = path.split("/");
  for (const route of routes) {
    const wanted = route.path.split("/");
    if (route.method !== method || wanted.length !== parts.length) continue;
    const params: Record<string, string> = {};
    const fits = wanted.every((part, index) => {
      const given = parts[index] ?? "";
      if (part.startsWith(":")) params[part.slice(1)] = given;
      return part.startsWith(":") ? given !== "" : part === given;
    });
    if (fits) return { route, params };
  }
  return null;
}

async function read(incoming: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MOST_BYTES) throw new Refusal("invalid", `the body is larger than ${MOST_BYTES} bytes`);
    chunks.push(chunk);
  }
  if (size === 0) return undefined;
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch {
    throw new Refusal("invalid", "the body is not JSON");
  }
}

/** Logged here and nowhere else, with everything that is known; the caller is told what it can use. */
function failed(error: unknown, requestId: string): Reply {
  const about = (kind: FailureKind, message: string) => ({ kind, message, requestId, retryable: isRetryable(kind) });
  let body: ErrorBody;
  if (error instanceof Refusal) {
    body = { error: about(error.kind, error.message) };
    log.info("refused", { kind: error.kind, reason: error.message });
  } else if (error instanceof DatabaseError) {
    const { failure, operation, facts, durationMs } = error;
    const { prisma, sqlstate } = failure;
    const codes = { ...(prisma !== undefined && { prisma }), ...(sqlstate !== undefined && { sqlstate }) };
    body = { error: { ...about(failure.kind, failure.message), operation, ...codes } };
    log.error("a database operation failed", { operation, ...facts, ...failureFacts(failure), durationMs });
  } else {
    body = { error: about("internal", "something went wrong here") };
    log.error("a request failed", { error: error instanceof Error ? error.stack : String(error) });
  }
  return { status: STATUS[body.error.kind], body };
}

function one(header: string | string[] | undefined): string | undefined {
  const value = Array.isArray(header) ? header[0] : header;
  return value === "" ? undefined : value;
}
