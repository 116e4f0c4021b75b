// DATABASE_URL as Prisma's users write it, told to the driver in the driver's words.

import type { PoolConfig } from "pg";

/** Prisma's own parameters, which mean nothing to the driver or to PostgreSQL. */
const PRISMAS = ["connection_limit", "pool_timeout", "connect_timeout", "schema", "pgbouncer"] as const;

const DEFAULT_CONNECTIONS = 10;
const DEFAULT_POOL_TIMEOUT_S = 10;

/** No statement of this service takes longer, in milliseconds. Ends what hangs, with PostgreSQL's word for it (57014). */
const STATEMENT_TIMEOUT_MS = 10_000;
/** No statement waits longer for a lock. Longer than deadlock_timeout (1 s), so that a deadlock is told as one. */
const LOCK_TIMEOUT_MS = 3_000;

export interface DatabaseOptions {
  pool: PoolConfig;
  schema: string | undefined;
}

/**
 * `connection_limit` is the size of this process' pool, and `pool_timeout` how many seconds a query waits for one of its
 * connections (0: for ever).
 */
export function databaseOptions(text: string | undefined): DatabaseOptions {
  if (text === undefined || text === "") {
    throw new Error("DATABASE_URL is not set. Say where PostgreSQL or Tidegate is: postgres://user:password@host:port/database");
  }
  const url = parse(text);
  const given = Object.fromEntries(PRISMAS.map((name) => [name, url.searchParams.get(name) ?? undefined]));
  for (const name of PRISMAS) url.searchParams.delete(name);
  return {
    schema: given.schema,
    pool: {
      connectionString: url.toString(),
      application_name: "prisma-backend",
      max: wholeNumber("connection_limit", given.connection_limit, DEFAULT_CONNECTIONS, 1),
      connectionTimeoutMillis: 1000 * wholeNumber("pool_timeout", given.pool_timeout, DEFAULT_POOL_TIMEOUT_S, 0),
      statement_timeout: STATEMENT_TIMEOUT_MS,
      lock_timeout: LOCK_TIMEOUT_MS,
    },
  };
}

function parse(text: string): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    // The text is not shown: it has a password in it.
    throw new Error("DATABASE_URL is not a URL. In user and password, write @ as %40, / as %2F and : as %3A.");
  }
  if (url.protocol !== "postgres:" && url.protocol !== "postgresql:") {
    throw new Error(`DATABASE_URL begins with ${url.protocol} and not with postgres: or postgresql:.`);
  }
  return url;
}

function wholeNumber(name: string, text: string | undefined, otherwise: number, least: number): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < least) {
    throw new Error(`DATABASE_URL: ${name} is ${JSON.stringify(text)}. Write a whole number from ${least} on.`);
  }
  return value;
}
