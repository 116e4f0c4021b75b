// The one PrismaClient of this process.

import { PrismaPg } from "@prisma/adapter-pg";
import { queryTags, withQueryTags } from "@prisma/sqlcommenter-query-tags";

import { PrismaClient } from "../generated/prisma/client.js";
import { databaseOptions } from "./database-url.js";
import { describeFailure, failureFacts } from "./errors.js";
import { log } from "./log.js";
import type { ConnectionState } from "./types.js";

/** What a query runs on: the client, or the transaction that is open. */
export type Database = Pick<PrismaClient, "user" | "role" | "roleAssignment" | "grant" | "auditEntry">;

/** How long testConnection() waits. Health checks of balancers commonly give up after five seconds. */
const CONNECTION_TEST_MS = 2_000;
/** How long it waits at start-up, where the first query takes longest, and nobody waits for it. */
export const START_UP_TEST_MS = 15_000;

function connect(): PrismaClient {
  const { pool, schema } = databaseOptions(process.env.DATABASE_URL);
  return new PrismaClient({
    adapter: new PrismaPg(pool, { schema }),
    log: ["error", "warn"],
    comments: [queryTags()],
    transactionOptions: { maxWait: 2_000, timeout: 5_000 },
  });
}

// Development servers load modules anew at every change of a file. Each time with a pool of its own, they would soon have
// all connections that PostgreSQL gives.
const kept = globalThis as typeof globalThis & { prisma?: PrismaClient };

export const prisma = kept.prisma ?? connect();
if (process.env.NODE_ENV !== "production") kept.prisma = prisma;

/**
 * Whether the database answers, and takes writes: the question goes to the primary. Never throws, and takes at most
 * `limitMs`. A failure is in the service log.
 */
export async function testConnection(limitMs = CONNECTION_TEST_MS): Promise<ConnectionState> {
  const begun = performance.now();
  const elapsed = () => Math.round(performance.now() - begun);
  try {
    // PrismaPromises begin when they are awaited, which has to be within the tags.
    const asked = withQueryTags({ intent: "primary" }, async () => await prisma.$queryRaw`SELECT 1`);
    await within(limitMs, asked);
    return { ok: true, latencyMs: elapsed() };
  } catch (error) {
    const failure = describeFailure(error);
    log.error("the database does not answer", { ...failureFacts(failure), durationMs: elapsed() });
    return { ok: false, latencyMs: elapsed(), error: failure.message };
  }
}

async function within<T>(limitMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${limitMs} ms`)), limitMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
