// Where statements go. Only Tidegate can tell; by PostgreSQL itself there is nothing to see.

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { withQueryTags } from "@prisma/sqlcommenter-query-tags";

import { prisma } from "../../src/lib/prisma.js";
import { until } from "../support/processes.js";
import type { Stage } from "../support/stage.js";

const READS = 50;
/** The share of a reading request's statements that replicas have to serve. */
const OFFLOADED = 0.95;

export function routing(stage: Stage): void {
  const { proxy } = stage;
  const skip = proxy === null && "TIDEGATE_ADMIN is not set";

  describe("routing", () => {
    it("reads land on replicas", { skip }, async (test) => {
      const reader = await stage.user("manager", "auditor");
      await stage.settled();
      const before = await proxy!.counters();
      for (let n = 0; n < READS; n += 1) {
        const path = ["/auth/me", "/auth/users?take=10", "/auth/roles", "/auth/audit?take=10"][n % 4] ?? "";
        assert.equal((await stage.call("GET", path, undefined, reader)).status, 200);
      }
      const now = await proxy!.counters();
      const [all, replica] = [[], ['target="replica"']].map(
        (labels) => now.statements(...labels) - before.statements(...labels),
      ) as [number, number];
      const share = replica / all;
      test.diagnostic(`${READS} requests: ${replica} of ${all} statements on replicas (${(100 * share).toFixed(1)} %)`);
      assert.ok(all >= READS, "the statements were counted");
      assert.ok(share >= OFFLOADED, `only ${share} of them ran on replicas`);
    });

    it("both replicas take part", { skip }, async () => {
      await stage.settled();
      const counters = await proxy!.counters();
      const nodes = [...counters.nodes('target="replica"')];
      assert.equal(nodes.length, 2, nodes.join(" "));
    });

    it("SHOW tidegate.last_route tells why", { skip }, async () => {
      await stage.settled();
      const client = await stage.eyes.connect();
      const route = async () => {
        await client.query("SELECT name FROM roles ORDER BY name");
        return JSON.stringify((await client.query("SHOW tidegate.last_route")).rows);
      };
      try {
        assert.match(await route(), /to: replica .*, reason fresh/);
        // The replicas are behind for 200 ms. On a machine that is slower than that, another time.
        await until("a read right after a write goes to the primary", async () => {
          await client.query("UPDATE roles SET description = description WHERE name = 'viewer'");
          return /to: primary .*, reason stale/.test(await route());
        });
      } finally {
        client.release();
      }
    });

    it("a tag sends a read to the primary", { skip }, async () => {
      await stage.settled();
      const work = () => withQueryTags({ intent: "primary" }, async () => await prisma.role.findMany());
      assert.equal(await proxy!.counted(work, 'reason="intent_primary"'), 1);
    });

    it("without the tag the same read goes to a replica", { skip }, async () => {
      await stage.settled();
      const work = async () => await prisma.role.findMany();
      assert.equal(await proxy!.counted(work, 'target="replica"', 'reason="fresh"'), 1);
    });

    it("a report that may be old is read from replicas also right after a write", { skip }, async () => {
      await stage.user("viewer");
      const work = async () => assert.equal((await stage.call("GET", "/auth/report")).status, 200);
      assert.equal(await proxy!.counted(work, 'target="replica"', 'reason="eventual"'), 4);
    });

    it("transactions stay on the primary, from begin to commit", { skip }, async () => {
      await stage.settled();
      const work = () => prisma.$transaction([prisma.role.findMany(), prisma.user.count()]);
      assert.equal(await proxy!.counted(work, 'target="replica"'), 0);
    });

    it("no statement was refused by a replica", { skip }, async () => {
      const counters = await proxy!.counters();
      assert.equal(counters.statements('reason="refused_before"'), 0);
    });
  });
}
