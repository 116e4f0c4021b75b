// What is said, and logged, when the database says no.

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { PrismaPg } from "@prisma/adapter-pg";

import { PrismaClient } from "../../src/generated/prisma/client.js";
import { databaseOptions } from "../../src/lib/database-url.js";
import { DatabaseError, inOperation } from "../../src/lib/errors.js";
import { prisma } from "../../src/lib/prisma.js";
import { Backend, until } from "../support/processes.js";
import type { Stage } from "../support/stage.js";

async function failure(work: () => Promise<unknown>): Promise<DatabaseError> {
  try {
    await inOperation("test", { about: "it" }, work);
  } catch (error) {
    assert.ok(error instanceof DatabaseError, String(error));
    return error;
  }
  throw new assert.AssertionError({ message: "nothing failed" });
}

export function failures(stage: Stage): void {
  /** Waits until somebody waits for a lock. */
  const somebodyWaits = () =>
    until("somebody waits for a lock", async () => {
      const sql = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
      return (await stage.rows(sql)).length > 0;
    });

  describe("failures", () => {
    it("a deadlock is told as one, with what was being done, and can be tried again", async () => {
      const [from, to] = [await stage.user("editor"), await stage.user()];
      const other = await stage.eyes.connect();
      try {
        const lock = (id: string) => other.query("UPDATE users SET name = name WHERE id = $1", [id]);
        await other.query("BEGIN");
        await lock(to);
        const answer = stage.call("POST", "/auth/roles/editor/transfer", { from, to });
        await somebodyWaits();
        // The backend waits for us; now we for it. Its deadlock_timeout ends first, so it is the one that gives way.
        await lock(from);
        const { status, body } = await answer;
        await other.query("ROLLBACK");
        assert.equal(status, 503);
        assert.equal(body.error.kind, "deadlock");
        assert.equal(body.error.prisma, "P2034");
        assert.equal(body.error.sqlstate, "40P01");
        assert.equal(body.error.operation, "transferRole");
        assert.equal(body.error.retryable, true);
        const line = await stage.backend.logged((line) => line.requestId === body.error.requestId);
        assert.deepEqual([line.from, line.to, line.role], [from, to, "editor"]);
        assert.equal(line.database, "deadlock detected");
        assert.ok((line.durationMs as number) >= 900, `it waited for ${String(line.durationMs)} ms`);
      } finally {
        other.release();
      }
      assert.deepEqual((await stage.call("GET", `/auth/users/${from}`)).body.roles, ["editor"], "nothing was changed");
      assert.equal((await stage.call("POST", "/auth/roles/editor/transfer", { from, to })).status, 204, "tried again");
    });

    it("a lock that is held for too long ends the request", async () => {
      const user = await stage.user();
      const other = await stage.eyes.connect();
      try {
        await other.query("BEGIN");
        await other.query("UPDATE users SET name = name WHERE id = $1", [user]);
        const { status, body } = await stage.call("PATCH", `/auth/users/${user}`, { name: "Late" });
        await other.query("ROLLBACK");
        assert.equal(status, 503);
        assert.equal(body.error.kind, "timeout");
        assert.equal(body.error.sqlstate, "55P03");
        assert.equal(body.error.operation, "updateUser");
        const line = await stage.backend.logged((line) => line.requestId === body.error.requestId);
        assert.equal(line.user, user);
        assert.equal(line.database, "canceling statement due to lock timeout");
      } finally {
        other.release();
      }
    });

    it("a transaction that takes too long", async () => {
      const slow = () => prisma.$transaction(async (database) => {
        await database.role.count();
        await new Promise((resolve) => setTimeout(resolve, 200));
        await database.role.count();
      }, { timeout: 100 });
      const { failure: told, operation, durationMs } = await failure(slow);
      assert.equal(told.kind, "timeout");
      assert.equal(told.prisma, "P2028");
      assert.equal(operation, "test");
      assert.ok(durationMs >= 100);
    });

    it("a pool without a free connection", async () => {
      const url = new URL(stage.url);
      url.searchParams.set("connection_limit", "1");
      url.searchParams.set("pool_timeout", "1");
      const { pool } = databaseOptions(url.toString());
      const narrow = new PrismaClient({ adapter: new PrismaPg(pool) });
      try {
        const holding = narrow.$transaction(async (database) => {
          await database.role.count();
          return await failure(() => narrow.role.count());
        });
        const { failure: told } = await holding;
        assert.equal(told.kind, "timeout");
        assert.equal(told.message, "no connection became free in time");
      } finally {
        await narrow.$disconnect();
      }
    });

    it("a statement that takes too long", async () => {
      const told = await failure(() =>
        prisma.$transaction(async (database) => {
          await database.$executeRaw`SET LOCAL statement_timeout = '100ms'`;
          await database.$queryRaw`SELECT pg_sleep(5)::text`;
        }),
      );
      assert.equal(told.failure.kind, "timeout");
      assert.equal(told.failure.sqlstate, "57014");
    });

    it("without a decision of the policy nothing is done", async () => {
      const user = await stage.user("editor");
      const backend = await Backend.start({ OPA_URL: "http://127.0.0.1:1" });
      try {
        const { status, body } = await backend.call("PUT", `/auth/users/${user}/roles`, stage.admin, { roles: [] });
        assert.equal(status, 503);
        assert.equal(body.error.message, "the policy engine gave no decision");
        await backend.logged((line) => line.level === "error" && line.message === body.error.message);
      } finally {
        await backend.stop();
      }
      assert.deepEqual((await stage.call("GET", `/auth/users/${user}`)).body.roles, ["editor"]);
    });

    it("a backend that cannot reach its database does not start, and says why without the password", async () => {
      const { code, log, text } = await Backend.failToStart({ DATABASE_URL: "postgres://app:hush@127.0.0.1:1/app" });
      assert.equal(code, 1);
      assert.ok(log.some((line) => line.level === "error" && line.message === "the database does not answer"), text);
      assert.ok(!text.includes("hush"), text);
    });
  });
}
