// What the scripts have in common: they test the connection, do their work, and say by their exit code how it went.

import { log } from "../lib/log.js";
import { prisma, START_UP_TEST_MS, testConnection } from "../lib/prisma.js";
import { DatabaseError, failureFacts } from "../lib/errors.js";

export async function run(name: string, work: () => Promise<Record<string, unknown>>): Promise<void> {
  try {
    const connection = await testConnection(START_UP_TEST_MS);
    if (!connection.ok) throw new Error(`the database does not answer: ${connection.error}`);
    log.info(`${name}: done`, await work());
  } catch (error) {
    process.exitCode = 1;
    const database = error instanceof DatabaseError;
    const facts = database ? { operation: error.operation, ...error.facts, ...failureFacts(error.failure) } : {};
    log.error(`${name}: failed`, { error: error instanceof Error ? error.message : String(error), ...facts });
  } finally {
    await prisma.$disconnect();
  }
}
