// The backend, its scripts and the Prisma CLI, each as a process of its own, as in production.

import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

/** The folder of package.json, seen from dist/backend/test/support. */
export const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));

/** How long anything may take before a test fails. Generous: a loaded machine is not an error. */
export const PATIENCE_MS = 60_000;

export interface LogLine {
  level: string;
  message: string;
  [fact: string]: unknown;
}

/** What a process has written to its standard output, by line. */
class Output {
  readonly lines: string[] = [];
  #rest = "";

  constructor(child: ChildProcess) {
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      const parts = (this.#rest + text).split("\n");
      this.#rest = parts.pop() ?? "";
      this.lines.push(...parts);
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => this.lines.push(...text.trimEnd().split("\n")));
  }

  /** The lines of the service log. Prisma writes its own between them. */
  get log(): LogLine[] {
    return this.lines.flatMap((line) => (line.startsWith("{") ? [JSON.parse(line) as LogLine] : []));
  }
}

export interface Finished {
  code: number | null;
  log: LogLine[];
  text: string;
}

async function finish(command: string, args: string[], env: NodeJS.ProcessEnv): Promise<Finished> {
  const child = spawn(command, args, { cwd: ROOT, env: { ...process.env, ...env }, stdio: "pipe" });
  const output = new Output(child);
  const timer = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
  const code = await new Promise<number | null>((resolve, reject) => child.on("error", reject).on("close", resolve));
  clearTimeout(timer);
  return { code, log: output.log, text: output.lines.join("\n") };
}

const UNDER_WATCH = ["--enable-source-maps", "--import", "./dist/backend/test/support/watchdog.js"];

export function runScript(name: string, env: NodeJS.ProcessEnv = {}): Promise<Finished> {
  return finish(process.execPath, [...UNDER_WATCH, `dist/backend/src/scripts/${name}.js`], env);
}

export function runPrisma(...args: string[]): Promise<Finished> {
  const env = {
    PRISMA_SCHEMA_ENGINE_BINARY: `${ROOT}prisma/schema-engine.mjs`,
    // It asks the network for newer versions otherwise.
    CHECKPOINT_DISABLE: "1",
    NO_COLOR: "1",
  };
  return finish(process.execPath, [`${ROOT}node_modules/prisma/build/index.js`, ...args], env);
}

export interface Answer {
  status: number;
  // What a test looks at in an answer is its own matter.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  body: any;
}

export class Backend {
  #child: ChildProcess;
  #output: Output;
  #exited: Promise<number | null>;
  #address = "";

  private constructor(env: NodeJS.ProcessEnv) {
    const args = [...UNDER_WATCH, "dist/backend/src/server.js"];
    this.#child = spawn(process.execPath, args, { cwd: ROOT, env: { ...process.env, PORT: "0", ...env }, stdio: "pipe" });
    this.#output = new Output(this.#child);
    this.#exited = new Promise((resolve) => this.#child.on("close", resolve));
  }

  static async start(env: NodeJS.ProcessEnv = {}): Promise<Backend> {
    const backend = new Backend(env);
    const ended = backend.#exited.then((code) => {
      throw new Error(`the backend ended with ${code}:\n${backend.text}`);
    });
    ended.catch(() => {});
    const line = await Promise.race([ended, backend.logged((line) => line.message === "listening")]);
    backend.#address = `http://127.0.0.1:${String(line.port)}`;
    return backend;
  }

  /** For one that is meant not to come up. */
  static async failToStart(env: NodeJS.ProcessEnv): Promise<Finished> {
    const backend = new Backend(env);
    const code = await backend.#exited;
    return { code, log: backend.log, text: backend.text };
  }

  get log(): LogLine[] {
    return this.#output.log;
  }

  get text(): string {
    return this.#output.lines.join("\n");
  }

  /** Waits for a line of its log. */
  async logged(wanted: (line: LogLine) => boolean): Promise<LogLine> {
    let found: LogLine | undefined;
    await until("the backend has logged it", () => Promise.resolve((found = this.log.find(wanted)) !== undefined));
    return found as LogLine;
  }

  async call(method: string, path: string, as: string | null, body?: unknown): Promise<Answer> {
    const response = await fetch(this.#address + path, {
      method,
      headers: { "content-type": "application/json", ...(as !== null && { "x-user-id": as }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    const text = await response.text();
    return { status: response.status, body: text === "" ? null : JSON.parse(text) };
  }

  async stop(): Promise<number | null> {
    this.#child.kill("SIGTERM");
    return await this.#exited;
  }
}

/** Asks again and again until the answer is yes. */
export async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`gave up waiting until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
