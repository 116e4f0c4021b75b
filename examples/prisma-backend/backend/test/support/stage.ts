// What the checks run against: a database, the backend before it, and where there is one, Tidegate between them.
//
//   DATABASE_URL    PostgreSQL or Tidegate; everything but the comparison below goes by it
//   PRIMARY_URL     the primary itself, and
//   REPLICA_URLS    its replicas, joined by commas: for Prisma's read-replica extension, to compare with
//   TIDEGATE_ADMIN  http://host:port of Tidegate's admin address, for what it counts
//   TIDEGATE_PID    its process, which the last checks freeze and stop

import pg from "pg";

import { type Answer, Backend, runScript, until } from "./processes.js";

/** Tidegate's counters. */
export class Counters {
  constructor(private readonly text: string) {}

  /** The sum of the statements that carry all of `labels`, as `target="replica"`. */
  statements(...labels: string[]): number {
    return this.text
      .split("\n")
      .filter((line) => line.startsWith("tidegate_statements_total{") && labels.every((label) => line.includes(label)))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
  }

  /** The nodes that have served statements with `label`. */
  nodes(label: string): Set<string> {
    const lines = this.text.split("\n").filter((line) => line.startsWith("tidegate_statements_total{"));
    const served = lines.filter((line) => line.includes(label) && !line.endsWith(" 0"));
    return new Set(served.flatMap((line) => /node="([^"]*)"/.exec(line)?.[1] ?? []));
  }
}

export class Proxy {
  constructor(
    readonly admin: string,
    readonly pid: number,
  ) {}

  async counters(): Promise<Counters> {
    const response = await fetch(new URL("/metrics", this.admin));
    return new Counters(await response.text());
  }

  /** How many statements with all of `labels` `work` has led to. */
  async counted(work: () => Promise<unknown>, ...labels: string[]): Promise<number> {
    const before = await this.counters();
    await work();
    return (await this.counters()).statements(...labels) - before.statements(...labels);
  }
}

const TABLES = ["users", "roles", "role_assignments", "grants", "audit_entries"];

function wanted(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === "") throw new Error(`${name} is not set`);
  return value;
}

export class Stage {
  readonly url = wanted("DATABASE_URL");
  readonly primary = process.env.PRIMARY_URL ?? null;
  readonly replicas = (process.env.REPLICA_URLS ?? "").split(",").filter((url) => url !== "");
  readonly proxy = process.env.TIDEGATE_ADMIN
    ? new Proxy(process.env.TIDEGATE_ADMIN, Number(process.env.TIDEGATE_PID ?? "0"))
    : null;

  /** A second way into the same database, for what the checks look at and get in the way with. */
  readonly eyes = new pg.Pool({ connectionString: this.url, max: 4 });
  #backend: Backend | null = null;
  /** The administrator's id. */
  admin = "";
  #users = 0;

  constructor() {
    this.eyes.on("error", () => {}); // the last checks stop the proxy under it
  }

  get backend(): Backend {
    if (!this.#backend) throw new Error("the backend is not started yet");
    return this.#backend;
  }

  async startBackend(): Promise<void> {
    this.#backend = await Backend.start();
    const { rows } = await this.eyes.query<{ id: string }>("SELECT id FROM users WHERE email = 'admin@example.org'");
    this.admin = rows[0]?.id ?? "";
  }

  call(method: string, path: string, body?: unknown, as: string | null = this.admin): Promise<Answer> {
    return this.backend.call(method, path, as, body);
  }

  /** A new user. Each has another address. */
  async user(...roles: string[]): Promise<string> {
    this.#users += 1;
    const address = `user${this.#users}.${Date.now()}@example.org`;
    const { status, body } = await this.call("POST", "/auth/users", { email: address, name: "Someone", roles });
    if (status !== 201) throw new Error(`no user: ${status} ${JSON.stringify(body)}`);
    return body.id;
  }

  async rows<Row extends pg.QueryResultRow>(sql: string, values: unknown[] = []): Promise<Row[]> {
    return (await this.eyes.query<Row>(sql, values)).rows;
  }

  /** Waits until replicas may serve reads again: their delay is over, and nothing was written since. */
  async settled(): Promise<void> {
    const client = await this.eyes.connect();
    try {
      await until("replicas serve reads", async () => {
        await client.query(`SELECT ${TABLES.map((table) => `(SELECT count(*) FROM ${table})`).join(", ")}`);
        const { rows } = await client.query<Record<string, string>>("SHOW tidegate.last_route");
        return JSON.stringify(rows).includes("to: replica");
      });
    } finally {
      client.release();
    }
  }

  async close(): Promise<void> {
    await this.#backend?.stop();
    await this.eyes.end();
  }

  /** Both seeds, without a word if all went well. */
  async seed(): Promise<void> {
    for (const name of ["seed-admin", "seed-demo"]) {
      const { code, text } = await runScript(name);
      if (code !== 0) throw new Error(`${name}: ${code}\n${text}`);
    }
  }
}
