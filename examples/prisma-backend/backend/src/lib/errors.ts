// What goes wrong, told so that somebody can do something about it: of what kind it is, what was being done, and the codes
// of Prisma and PostgreSQL.

import { Prisma } from "../generated/prisma/client.js";
import type { FailureKind } from "./types.js";

/** A request that is refused by this service itself. */
export class Refusal extends Error {
  override name = "Refusal";
  constructor(
    readonly kind: FailureKind,
    message: string,
  ) {
    super(message);
  }
}

/** What is known of a failure in the database. */
export interface Failure {
  kind: FailureKind;
  message: string;
  prisma?: string;
  sqlstate?: string;
  /** What PostgreSQL said, in one line. */
  database?: string;
}

/** A failure in the database, and what was being done. */
export class DatabaseError extends Error {
  override name = "DatabaseError";
  constructor(
    readonly failure: Failure,
    readonly operation: string,
    readonly facts: Record<string, unknown>,
    readonly durationMs: number,
    cause: unknown,
  ) {
    super(`${operation}: ${failure.message}`, { cause });
  }
}

/** Runs `work`; if it fails in the database, says of it what was being done, to what, and for how long. */
export async function inOperation<T>(
  operation: string,
  facts: Record<string, unknown>,
  work: () => Promise<T>,
): Promise<T> {
  const begun = performance.now();
  try {
    return await work();
  } catch (error) {
    if (error instanceof Refusal || error instanceof DatabaseError) throw error;
    throw new DatabaseError(describeFailure(error), operation, facts, Math.round(performance.now() - begun), error);
  }
}

const BY_PRISMA: Record<string, [FailureKind, string]> = {
  P1000: ["unreachable", "the database does not take this user and password"],
  P1001: ["unreachable", "the database cannot be reached"],
  P1003: ["unreachable", "there is no such database"],
  P1008: ["timeout", "the database did not answer in time"],
  P1017: ["unreachable", "the database has closed the connection"],
  P2000: ["invalid", "a value is too long"],
  P2002: ["duplicate", "there is one already"],
  P2003: ["conflict", "it refers to something that does not exist"],
  P2007: ["invalid", "a value is not of its column's type"],
  P2024: ["timeout", "no connection became free in time"],
  P2025: ["not_found", "there is no such thing"],
  P2028: ["timeout", "the transaction took too long"],
  P2034: ["deadlock", "it met another change of the same rows"],
  P2037: ["unreachable", "the database has no connection left"],
};

const BY_SQLSTATE: Record<string, [FailureKind, string]> = {
  "40001": ["deadlock", "it met another change of the same rows"],
  "40P01": ["deadlock", "it met another change of the same rows, and each waited for the other"],
  "55P03": ["timeout", "another change holds these rows for too long"],
  "57014": ["timeout", "the statement took too long"],
  "53300": ["unreachable", "the database has no connection left"],
  "57P01": ["unreachable", "the database is shutting down"],
  "57P02": ["unreachable", "the database is shutting down"],
  "57P03": ["unreachable", "the database cannot take connections now"],
};

/** Where there was no server that could have said a code: the driver adapter's own names. */
const BY_DRIVER: Record<string, [FailureKind, string]> = {
  AuthenticationFailed: ["unreachable", "the database does not take this user and password"],
  ConnectionClosed: ["unreachable", "the database has closed the connection"],
  DatabaseDoesNotExist: ["unreachable", "there is no such database"],
  DatabaseNotReachable: ["unreachable", "the database cannot be reached"],
  SocketTimeout: ["timeout", "the database did not answer in time"],
};

/** The driver's own, which have no name either: what is in their message. */
const BY_MESSAGE: [string, FailureKind, string][] = [
  ["timeout exceeded when trying to connect", "timeout", "no connection became free in time"],
  ["Connection terminated", "unreachable", "the database has closed the connection"],
  ["no answer within", "timeout", "the database did not answer in time"],
];

/** What a failed call of Prisma's comes down to. SQLSTATE says more than Prisma's code, where there is one. */
export function describeFailure(error: unknown): Failure {
  const prisma = prismaCode(error);
  const { sqlstate, driver, database } = driverCause(error);
  const text = error instanceof Error ? lastLine(error.message) : String(error);
  const byMessage = BY_MESSAGE.find(([begin]) => text.includes(begin) || database?.includes(begin));
  const [kind, message] =
    (sqlstate && BY_SQLSTATE[sqlstate]) ||
    (driver && BY_DRIVER[driver]) ||
    (byMessage && [byMessage[1], byMessage[2]] as const) ||
    (prisma && BY_PRISMA[prisma]) ||
    (["internal", text] as const);
  return {
    kind,
    message,
    ...(prisma !== undefined && { prisma }),
    ...(sqlstate !== undefined && { sqlstate }),
    ...(database !== undefined && { database }),
  };
}

/** A failure as facts of a log line, whose own message says what was going on. */
export function failureFacts({ message, ...codes }: Failure): Record<string, unknown> {
  return { reason: message, ...codes };
}

/** Whether the same request may succeed a moment later. Whoever made it decides whether to; it has changed nothing. */
export function isRetryable(kind: FailureKind): boolean {
  return kind === "deadlock" || kind === "timeout" || kind === "unreachable";
}

function prismaCode(error: unknown): string | undefined {
  if (error instanceof Prisma.PrismaClientKnownRequestError) return error.code;
  if (error instanceof Prisma.PrismaClientInitializationError) return error.errorCode;
  return undefined;
}

/** What the driver adapter has kept of PostgreSQL's error. Its place differs between Prisma's kinds of errors. */
function driverCause(error: unknown): { sqlstate?: string; driver?: string; database?: string } {
  for (let at: unknown = error, depth = 0; isRecord(at) && depth < 5; depth += 1) {
    if (typeof at.kind === "string") {
      const { kind: driver, originalCode: code, originalMessage: said } = at;
      return {
        driver,
        ...(typeof code === "string" && { sqlstate: code }),
        ...(typeof said === "string" && { database: said }),
      };
    }
    at = isRecord(at.meta) && isRecord(at.meta.driverAdapterError) ? at.meta.driverAdapterError : at.cause;
  }
  return {};
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

/** Prisma's messages quote the source code above their last line. */
function lastLine(message: string): string {
  return message.trim().split("\n").at(-1)?.trim() ?? "";
}
