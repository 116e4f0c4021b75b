#!/usr/bin/env node
// Prisma's schema engine from npm alone. The CLI downloads a program for it, unless PRISMA_SCHEMA_ENGINE_BINARY names one;
// this is one, made of the engine that Prisma publishes as WebAssembly. It talks to PostgreSQL by the same driver as the
// backend, and to the CLI as the program does: JSON-RPC, one message per line.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";

import { PrismaPg } from "@prisma/adapter-pg";
import { bindMigrationAwareSqlAdapterFactory } from "@prisma/driver-adapter-utils";
import pg from "pg";

/** Parameters of Prisma's that mean nothing to the driver. */
const PRISMAS = ["connection_limit", "pool_timeout", "connect_timeout", "pgbouncer"];

/** The values of `--name`, which may come more than once, each with one value. */
function values(...names) {
  const args = process.argv.slice(2);
  return args.flatMap((arg, index) => (names.includes(arg) && index + 1 < args.length ? [args[index + 1]] : []));
}

function adapter() {
  const given = values("--datasource").map((json) => JSON.parse(json).url)[0] ?? process.env.DATABASE_URL;
  if (!given) throw new Error("no database: DATABASE_URL is not set");
  const url = new URL(given);
  const schema = url.searchParams.get("schema") ?? undefined;
  for (const name of [...PRISMAS, "schema"]) url.searchParams.delete(name);
  // One connection: Migrate takes a session's advisory lock, and all that follows has to run in that session.
  const pool = new pg.Pool({ connectionString: url.toString(), max: 1, application_name: "prisma-migrate" });
  return new PrismaPg(withTextForChar(pool), { schema, disposeExternalPool: true });
}

/** PostgreSQL's catalogs have columns of its type "char". The adapter does not know it, and the engine takes it for text. */
function withTextForChar(pool) {
  const { TEXT, CHAR } = pg.types.builtins;
  const query = pool.query.bind(pool);
  pool.query = async (...args) => {
    const result = await query(...args);
    for (const field of result.fields ?? []) if (field.dataTypeID === CHAR) field.dataTypeID = TEXT;
    return result;
  };
  return pool;
}

/** The engine without the flag that Node wants for importing WebAssembly as a module. */
async function engine() {
  const resolve = createRequire(import.meta.url).resolve;
  const bindings = await import("@prisma/schema-engine-wasm/schema_engine_bg");
  const file = join(dirname(resolve("@prisma/schema-engine-wasm")), "schema_engine_bg.wasm");
  const { instance } = await WebAssembly.instantiate(readFileSync(file), { "./schema_engine_bg.js": bindings });
  bindings.__wbg_set_wasm(instance.exports);
  instance.exports.__wbindgen_start();
  const datamodels = values("-d", "--datamodels").map((path) => [path, readFileSync(path, "utf8")]);
  const options = { datamodels: datamodels.length > 0 ? datamodels : undefined };
  return await bindings.SchemaEngine.new(options, () => {}, bindMigrationAwareSqlAdapterFactory(adapter()));
}

const send = (message) => process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);

/** Prisma's codes for what keeps one from connecting, by the driver adapter's names. */
const CODES = { AuthenticationFailed: "P1000", DatabaseNotReachable: "P1001", DatabaseDoesNotExist: "P1003" };

/** What the CLI shows of an error: Prisma's code, if it has one, and a message. */
function described(error) {
  const cause = error?.cause ?? {};
  return {
    error_code: error?.code ?? CODES[cause.kind],
    message: cause.originalMessage ?? (error?.message || cause.kind || String(error)),
  };
}

/** Where the CLI's name for a command differs from the engine's. */
const METHODS = { getDatabaseVersion: "version" };

async function answer({ id, method, params }, engine) {
  try {
    const result = await engine[METHODS[method] ?? method](params);
    // The program prints a difference through the CLI; the engine hands it back.
    if (method === "diff" && result.stdout) send({ id: `${id}-print`, method: "print", params: { content: result.stdout } });
    send({ id, result: result ?? null });
  } catch (error) {
    const data = { is_panic: false, ...described(error) };
    send({ id, error: { code: 4466, message: data.message, data } });
  }
}

/** JSON-RPC until the CLI closes our standard input. One request at a time, in their order. */
async function serve() {
  let ready;
  let last = Promise.resolve();
  for await (const line of createInterface({ input: process.stdin })) {
    const message = JSON.parse(line);
    if (message.method === undefined) continue; // the answer to a print
    ready ??= engine();
    last = last.then(async () => answer(message, await ready)).catch(fail);
  }
  await last;
}

/** `cli can-connect-to-database`: by its exit code, and one line of the engine's log. */
async function canConnect() {
  const connection = await adapter().connect();
  try {
    await connection.queryRaw({ sql: "SELECT 1", args: [], argTypes: [] });
  } finally {
    await connection.dispose();
  }
}

function fail(error) {
  const fields = described(error);
  process.stderr.write(`schema engine\n${JSON.stringify({ level: "ERROR", target: "schema_engine::logger", fields })}\n`);
  process.exit(1);
}

const command = process.argv.at(-2) === "cli" ? process.argv.at(-1) : "serve";
const COMMANDS = { serve, "can-connect-to-database": canConnect };
try {
  if (!COMMANDS[command]) throw new Error(`${command} is left to whoever runs the database`);
  await COMMANDS[command]();
  process.exit(0);
} catch (error) {
  fail(error);
}
