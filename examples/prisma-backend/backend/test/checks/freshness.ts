// What is read right after it was written: the reason for all this.

import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { after, describe, it } from "node:test";

import { PrismaPg } from "@prisma/adapter-pg";
import { readReplicas } from "@prisma/extension-read-replicas";
import pg from "pg";

import { PrismaClient } from "../../src/generated/prisma/client.js";
import { databaseOptions } from "../../src/lib/database-url.js";
import type { Stage } from "../support/stage.js";

const ROUNDS = 20;

function client(url: string): PrismaClient {
  const { pool, schema } = databaseOptions(url);
  return new PrismaClient({ adapter: new PrismaPg(pool, { schema }) });
}

/** Where the machine was too slow for a read to be right after the write, nothing is shown: these rounds are not counted. */
const AT_ONCE_MS = 150;

/** Creates a user and looks for it at once, until that was done often enough: how often it was not there. */
async function misses(prisma: Pick<PrismaClient, "user">): Promise<number> {
  let [rounds, missed] = [0, 0];
  for (let tries = 0; rounds < ROUNDS && tries < 10 * ROUNDS; tries += 1) {
    const data = { email: `${randomUUID()}@example.org`, name: "Someone" };
    const { id } = await prisma.user.create({ data });
    const created = performance.now();
    const found = await prisma.user.findUnique({ where: { id } });
    if (performance.now() - created > AT_ONCE_MS) continue;
    rounds += 1;
    missed += Number(found === null);
  }
  assert.equal(rounds, ROUNDS, "the machine is too slow for this");
  return missed;
}

export function sideBySide(stage: Stage): void {
  const { primary, replicas, proxy } = stage;
  const skip = primary !== null && replicas.length > 0 ? false : "PRIMARY_URL and REPLICA_URLS are not set";

  describe("create, then find", () => {
    const clients: PrismaClient[] = [];
    const open = (url: string) => {
      const opened = client(url);
      clients.push(opened);
      return opened;
    };
    after(() => Promise.all(clients.map((opened) => opened.$disconnect())));

    it(`with Prisma's read-replica extension: misses all ${ROUNDS}`, { skip }, async (test) => {
      const extension = readReplicas({ replicas: replicas.map(open) });
      const missed = await misses(open(primary ?? "").$extends(extension) as unknown as PrismaClient);
      test.diagnostic(`read-replica extension: ${missed} of ${ROUNDS} create-then-find reads missed the row`);
      assert.equal(missed, ROUNDS, "the replicas have to be further behind than the next statement");
    });

    it(`by DATABASE_URL: misses none of ${ROUNDS}`, async (test) => {
      const missed = await misses(open(stage.url));
      test.diagnostic(`DATABASE_URL${proxy ? " (Tidegate)" : ""}: ${missed} of ${ROUNDS} reads missed the row`);
      assert.equal(missed, 0);
    });

    it("with named prepared statements neither", async () => {
      const { pool } = databaseOptions(stage.url);
      const named = new PrismaClient({
        adapter: new PrismaPg(pool, {
          statementNameGenerator: ({ sql }) => createHash("md5").update(sql).digest("hex"),
        }),
      });
      clients.push(named);
      assert.equal(await misses(named), 0);
    });

    it("over HTTP: a user that was created is found and listed", async () => {
      for (let round = 0; round < ROUNDS; round += 1) {
        const id = await stage.user("viewer");
        const { status, body } = await stage.call("GET", `/auth/users/${id}`);
        assert.equal(status, 200, `round ${round}`);
        assert.deepEqual(body.roles, ["viewer"]);
      }
    });

    it("over HTTP, many at a time, each on whatever connection is free", async () => {
      await Promise.all(
        Array.from({ length: ROUNDS }, async (_, round) => {
          const id = await stage.user("viewer");
          const { status } = await stage.call("GET", `/auth/users/${id}`);
          assert.equal(status, 200, `round ${round}`);
        }),
      );
    });
  });
}

export function roleChanges(stage: Stage): void {
  describe("a role change and the very next decision", () => {
    const allowed = async (user: string, action: string, resource: string) => {
      const { status, body } = await stage.call("POST", "/auth/decisions", { user, action, resource });
      assert.equal(status, 200, JSON.stringify(body));
      return body.allow as boolean;
    };

    it(`sees each of ${ROUNDS} grants and ${ROUNDS} revocations of a role`, async () => {
      const user = await stage.user("viewer");
      for (let round = 0; round < ROUNDS; round += 1) {
        await stage.call("PUT", `/auth/users/${user}/roles`, { roles: ["viewer", "editor"] });
        assert.equal(await allowed(user, "write", "documents"), true, `round ${round}: granted`);
        await stage.call("PUT", `/auth/users/${user}/roles`, { roles: ["viewer"] });
        assert.equal(await allowed(user, "write", "documents"), false, `round ${round}: revoked`);
      }
    });

    it(`sees each of ${ROUNDS} changes of what a role grants`, async () => {
      const user = await stage.user("archivist");
      for (let round = 0; round < ROUNDS; round += 1) {
        const grants = round % 2 === 0 ? [{ resource: "maps", action: "write" }] : [];
        await stage.call("PUT", "/auth/roles/archivist/grants", { grants });
        assert.equal(await allowed(user, "write", "maps"), round % 2 === 0, `round ${round}`);
      }
    });

    it("sees it for many users at the same time", async () => {
      const users = await Promise.all(Array.from({ length: 10 }, () => stage.user()));
      await Promise.all(
        users.map(async (user) => {
          for (const roles of [["editor"], [], ["editor"]]) {
            await stage.call("PUT", `/auth/users/${user}/roles`, { roles });
            assert.equal(await allowed(user, "write", "documents"), roles.length === 1);
          }
        }),
      );
    });

    it("lets a manager in and out by the next request", async () => {
      const user = await stage.user();
      for (let round = 0; round < 5; round += 1) {
        await stage.call("PUT", `/auth/users/${user}/roles`, { roles: ["manager"] });
        assert.equal((await stage.call("GET", "/auth/users", undefined, user)).status, 200);
        await stage.call("PUT", `/auth/users/${user}/roles`, { roles: [] });
        assert.equal((await stage.call("GET", "/auth/users", undefined, user)).status, 403);
      }
    });

    it(
      "sees what was changed on the primary, past Tidegate, where it is asked strictly",
      { skip: stage.primary === null && "PRIMARY_URL is not set" },
      async () => {
        const operator = new pg.Client({ connectionString: stage.primary ?? "" });
        await operator.connect();
        try {
          const [manager, other] = [await stage.user("manager"), await stage.user()];
          for (let round = 0; round < 5; round += 1) {
            const change = () => stage.call("PUT", `/auth/users/${other}/roles`, { roles: ["viewer"] }, manager);
            await operator.query("DELETE FROM role_assignments WHERE user_id = $1", [manager]);
            assert.equal((await change()).status, 403, `round ${round}: revoked`);
            await operator.query("INSERT INTO role_assignments (user_id, role_name) VALUES ($1, 'manager')", [manager]);
            assert.equal((await change()).status, 200, `round ${round}: granted`);
          }
        } finally {
          await operator.end();
        }
      },
    );
  });
}
