// The service log: one JSON object per line on standard output.

import { requestFacts } from "./context.js";

type Level = "info" | "warn" | "error";

function write(level: Level, message: string, facts: Record<string, unknown>): void {
  const line = { time: new Date().toISOString(), level, message, ...requestFacts(), ...facts };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

export const log = {
  info: (message: string, facts: Record<string, unknown> = {}) => write("info", message, facts),
  warn: (message: string, facts: Record<string, unknown> = {}) => write("warn", message, facts),
  error: (message: string, facts: Record<string, unknown> = {}) => write("error", message, facts),
};
