// The client of this process, and its health.

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { databaseOptions } from "../../src/lib/database-url.js";
import { testConnection } from "../../src/lib/prisma.js";
import { type LogLine, PATIENCE_MS, until } from "../support/processes.js";
import type { Stage } from "../support/stage.js";

type Module = typeof import("../../src/lib/prisma.js");

/** The module anew, as a development server loads it after a change. */
async function reloaded(mark: string): Promise<Module> {
  return (await import(`../../src/lib/prisma.js?${mark}`)) as Module;
}

export function connection(stage: Stage): void {
  describe("the client", () => {
    it("is one per process outside production, however often the module is loaded", async () => {
      const [one, two] = [await reloaded("one"), await reloaded("two")];
      assert.notEqual(one, two);
      assert.equal(one.prisma, two.prisma);
      assert.equal((globalThis as { prisma?: unknown }).prisma, one.prisma);
    });

    it("is not kept on globalThis in production", async () => {
      const kept = globalThis as { prisma?: unknown };
      const [before, mode] = [kept.prisma, process.env.NODE_ENV];
      delete kept.prisma;
      process.env.NODE_ENV = "production";
      try {
        const { prisma } = await reloaded("production");
        assert.equal(kept.prisma, undefined);
        await prisma.$disconnect();
      } finally {
        kept.prisma = before;
        if (mode === undefined) delete process.env.NODE_ENV;
        else process.env.NODE_ENV = mode;
      }
    });

    it("is sized by connection_limit and pool_timeout, which do not reach the server", () => {
      const { pool, schema } = databaseOptions("postgres://a:b@h:6432/d?connection_limit=20&pool_timeout=20&schema=s&sslmode=require");
      assert.equal(pool.max, 20);
      assert.equal(pool.connectionTimeoutMillis, 20_000);
      assert.equal(pool.connectionString, "postgres://a:b@h:6432/d?sslmode=require");
      assert.equal(schema, "s");
    });

    it("says what is wrong with DATABASE_URL, and does not repeat it", () => {
      assert.throws(() => databaseOptions(""), /DATABASE_URL is not set/);
      assert.throws(() => databaseOptions("postgres://a:b@h/d?connection_limit=many"), /connection_limit is "many"/);
      assert.throws(() => databaseOptions("mysql://a:secret@h/d"), (error: Error) => !error.message.includes("secret"));
    });

    it("tests the connection", async () => {
      const state = await testConnection(PATIENCE_MS);
      assert.equal(state.ok, true, JSON.stringify(state));
    });
  });

  describe("health", () => {
    it("is green", async () => {
      const { status, body } = await stage.call("GET", "/health", undefined, null);
      assert.equal(status, 200);
      assert.equal(body.status, "ok");
      assert.equal(body.database.ok, true);
    });

    it("start-up tested the connection, and said so in the log", () => {
      const messages = stage.backend.log.map((line) => line.message);
      assert.ok(messages.indexOf("connected to the database") < messages.indexOf("listening"), messages.join());
      assert.ok(messages.includes("connected to the database"));
    });
  });
}

/** The last checks: they take the proxy away. */
export function outage(stage: Stage): void {
  const pid = stage.proxy?.pid ?? 0;
  const skip = pid > 0 ? false : "TIDEGATE_PID is not set";
  const health = () => stage.call("GET", "/health", undefined, null);

  describe("without the proxy", () => {
    it("health turns red while it hangs, and green when it goes on", { skip }, async () => {
      process.kill(pid, "SIGSTOP");
      try {
        const { status, body } = await health();
        assert.equal(status, 503);
        assert.deepEqual([body.status, body.database.ok], ["unavailable", false]);
      } finally {
        process.kill(pid, "SIGCONT");
      }
      await until("health is green", async () => (await health()).status === 200);
    });

    it("health turns red when it is stopped, and the log says why", { skip }, async () => {
      process.kill(pid, "SIGTERM");
      const told = (line: LogLine) =>
        line.message === "the database does not answer" && line.kind === "unreachable" && line.route === "GET /health";
      await until("health is red, and the log says why", async () => {
        const { status } = await health();
        return status === 503 && stage.backend.log.some(told);
      });
    });

    it("requests are told so, with what was being done", { skip }, async () => {
      const { status, body } = await stage.call("GET", "/auth/roles");
      assert.equal(status, 503);
      assert.equal(body.error.kind, "unreachable");
      assert.equal(body.error.operation, "decide");
      assert.equal(body.error.retryable, true);
    });

    it("the backend itself stops in order", async () => {
      assert.equal(await stage.backend.stop(), 0);
    });
  });
}
