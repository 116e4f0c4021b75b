// Migrations, seeds and the identity sync: what is run before and beside the backend.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { after, before, describe, it } from "node:test";

import { CATALOGUE } from "../../src/services/roles.js";
import { nextToken } from "../../src/services/kratos.js";
import { Kratos, type PlayedIdentity } from "../support/kratos.js";
import { ROOT, runPrisma, runScript } from "../support/processes.js";
import type { Stage } from "../support/stage.js";

export function migrations(stage: Stage): void {
  describe("migrations", () => {
    it("all of Prisma is of one version, its schema engine too", async () => {
      const manifest = async (path: string) => JSON.parse(await readFile(`${ROOT}${path}/package.json`, "utf8"));
      const { dependencies, devDependencies } = await manifest(".");
      const pins: Record<string, string> = { ...dependencies, ...devDependencies };
      for (const name of ["@prisma/adapter-pg", "@prisma/client", "@prisma/driver-adapter-utils", "@prisma/sqlcommenter-query-tags"]) {
        assert.equal(pins[name], pins.prisma, name);
      }
      const engines = await manifest("node_modules/@prisma/engines-version");
      assert.equal(pins["@prisma/schema-engine-wasm"], engines.version);
    });

    it("migrate deploy applies what is missing, once, also if two are started at the same time", async () => {
      const both = await Promise.all([runPrisma("migrate", "deploy"), runPrisma("migrate", "deploy")]);
      for (const { code, text } of both) {
        assert.equal(code, 0, text);
        assert.match(text, /2 migrations found/);
      }
    });

    it("migrate deploy a second time changes nothing", async () => {
      const before = await stage.rows("SELECT migration_name, finished_at FROM _prisma_migrations ORDER BY 1");
      const { code, text } = await runPrisma("migrate", "deploy");
      assert.equal(code, 0, text);
      assert.match(text, /No pending migrations to apply/);
      const after = await stage.rows("SELECT migration_name, finished_at FROM _prisma_migrations ORDER BY 1");
      assert.deepEqual(after, before);
      assert.equal(after.length, 2);
      assert.ok(after.every((row) => row.finished_at !== null));
    });

    it("the migrations make what the schema says", async () => {
      const { code, text } = await runPrisma(
        ...["migrate", "diff", "--from-config-datasource", "--to-schema", "prisma/schema.prisma", "--exit-code"],
      );
      assert.equal(code, 0, text);
    });

    it("migrate status agrees", async () => {
      const { code, text } = await runPrisma("migrate", "status");
      assert.equal(code, 0, text);
      assert.match(text, /up to date/);
    });
  });
}

/** What the scripts have to leave behind, whatever was there before. */
async function assertProvisioned(stage: Stage): Promise<void> {
  const rows = await stage.rows<{ grant: string }>(
    "SELECT role_name || ' ' || resource || ' ' || action AS grant FROM grants",
  );
  const there = new Set(rows.map((row) => row.grant));
  const wanted = CATALOGUE.flatMap((role) => role.grants.map((one) => `${role.name} ${one.resource} ${one.action}`));
  assert.deepEqual(wanted.filter((grant) => !there.has(grant)), []);
}

export function seeds(stage: Stage): void {
  describe("seeds", () => {
    it("the admin seed makes the roles and one administrator", async () => {
      const { code, text } = await runScript("seed-admin");
      assert.equal(code, 0, text);
      await assertProvisioned(stage);
      const admins = await stage.rows(
        "SELECT email FROM users JOIN role_assignments ON user_id = id WHERE role_name = 'admin' AND active",
      );
      assert.deepEqual(admins, [{ email: "admin@example.org" }]);
    });

    it("the demo seed makes people", async () => {
      const { code, text } = await runScript("seed-demo");
      assert.equal(code, 0, text);
      const rows = await stage.rows("SELECT 1 FROM users WHERE email = 'mira@example.org'");
      assert.equal(rows.length, 1);
    });

    it("seeds change nothing the second time", async () => {
      const count = "SELECT (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM audit_entries) AS changes";
      const before = await stage.rows(count);
      await stage.seed();
      assert.deepEqual(await stage.rows(count), before);
    });

    for (const script of ["seed-admin", "seed-demo"]) {
      it(`${script} provisions a role that is new`, async () => {
        await stage.rows("DELETE FROM role_assignments WHERE role_name = 'auditor'");
        await stage.rows("DELETE FROM roles WHERE name = 'auditor'");
        const { code, log } = await runScript(script);
        assert.equal(code, 0);
        assert.deepEqual(log.at(-1)?.provisioned, ["auditor"]);
        await assertProvisioned(stage);
      });
    }

    it("a seed that cannot reach the database says so, without the password", async () => {
      const { code, text } = await runScript("seed-admin", { DATABASE_URL: "postgres://app:hush@127.0.0.1:1/app" });
      assert.equal(code, 1);
      assert.match(text, /cannot be reached/);
      assert.doesNotMatch(text, /hush/);
    });
  });
}

function identity(email: string, roles: string[] | null, state: "active" | "inactive" = "active"): PlayedIdentity {
  const [first = ""] = email.split(".");
  return {
    id: randomUUID(),
    schema_id: "person",
    state,
    traits: { email, name: { first, last: "Doe" } },
    metadata_public: roles === null ? null : { roles },
  };
}

export function identities(stage: Stage): void {
  describe("identity sync", () => {
    const kratos = new Kratos(3);
    let env: NodeJS.ProcessEnv;
    const rolesOf = async (email: string) => {
      const rows = await stage.rows<{ role_name: string }>(
        "SELECT role_name FROM role_assignments JOIN users ON id = user_id WHERE email = $1 ORDER BY 1",
        [email],
      );
      return rows.map((row) => row.role_name);
    };
    const isActive = async (email: string) =>
      (await stage.rows<{ active: boolean }>("SELECT active FROM users WHERE email = $1", [email]))[0]?.active;

    before(async () => {
      env = { KRATOS_ADMIN_URL: await kratos.start() };
      kratos.identities = [
        identity("ann.k@example.org", ["manager"]),
        identity("bob.k@example.org", null),
        identity("cid.k@example.org", ["editor"], "inactive"),
        identity("dot.k@example.org", ["auditor", "viewer"]),
        identity("eve.k@example.org", ["archivist"]),
        identity("fay.k@example.org", []),
        identity("gus.k@example.org", null),
      ];
    });
    after(() => kratos.stop());

    it("follows the pages to the end", async () => {
      const { code, text, log } = await runScript("sync-identities", env);
      assert.equal(code, 0, text);
      assert.equal(kratos.asked.length, 3);
      assert.equal(new Set(kratos.asked).size, 3, "each page once");
      assert.equal(log.at(-1)?.identities, 7);
      assert.equal(log.at(-1)?.changed, 7);
    });

    it("gives roles as the identities say, and a default where they say nothing", async () => {
      assert.deepEqual(await rolesOf("ann.k@example.org"), ["manager"]);
      assert.deepEqual(await rolesOf("bob.k@example.org"), ["viewer"]);
      assert.deepEqual(await rolesOf("dot.k@example.org"), ["auditor", "viewer"]);
      assert.deepEqual(await rolesOf("fay.k@example.org"), []);
    });

    it("takes over who is not active", async () => {
      assert.equal(await isActive("ann.k@example.org"), true);
      assert.equal(await isActive("cid.k@example.org"), false);
    });

    it("makes a role that only the identities know, without grants", async () => {
      assert.deepEqual(await rolesOf("eve.k@example.org"), ["archivist"]);
      assert.deepEqual(await stage.rows("SELECT 1 FROM grants WHERE role_name = 'archivist'"), []);
      const rows = await stage.rows("SELECT 1 FROM audit_entries WHERE subject = 'role:archivist'");
      assert.equal(rows.length, 1);
    });

    it("provisions a role of the catalogue that is new", async () => {
      await stage.rows("DELETE FROM role_assignments WHERE role_name = 'editor'");
      await stage.rows("DELETE FROM roles WHERE name = 'editor'");
      const { code, log } = await runScript("sync-identities", env);
      assert.equal(code, 0);
      assert.deepEqual(log.at(-1)?.provisioned, ["editor"]);
      await assertProvisioned(stage);
      assert.deepEqual(await rolesOf("cid.k@example.org"), ["editor"]);
    });

    it("changes nothing the second time", async () => {
      const { log } = await runScript("sync-identities", env);
      assert.equal(log.at(-1)?.changed, 0);
      assert.equal(log.at(-1)?.deactivated, 0);
    });

    it("changes nothing if a page cannot be had", async () => {
      kratos.failing = 500;
      const removed = kratos.identities.shift();
      const { code, text } = await runScript("sync-identities", env);
      kratos.failing = null;
      assert.equal(code, 1);
      assert.match(text, /Kratos answered GET .* with 500/);
      assert.equal(await isActive("ann.k@example.org"), true);
      assert.ok(removed);
    });

    it("deactivates whose identity is gone, and leaves those made by hand", async () => {
      const { code, log } = await runScript("sync-identities", env);
      assert.equal(code, 0);
      assert.equal(log.at(-1)?.deactivated, 1);
      assert.equal(await isActive("ann.k@example.org"), false);
      assert.equal(await isActive("admin@example.org"), true);
    });

    it("does not lock everybody out if there are no identities", async () => {
      const all = kratos.identities;
      kratos.identities = [];
      const { code, text } = await runScript("sync-identities", env);
      kratos.identities = all;
      assert.equal(code, 1);
      assert.match(text, /everybody would be locked out/);
      assert.equal(await isActive("bob.k@example.org"), true);
    });

    it("does not take an address that another user has", async () => {
      kratos.identities.push(identity("admin@example.org", ["viewer"]));
      const { code, log } = await runScript("sync-identities", env);
      kratos.identities.pop();
      assert.equal(code, 1);
      assert.equal((log.at(-1)?.conflicts as string[]).length, 1);
      assert.deepEqual(await rolesOf("admin@example.org"), ["admin"]);
    });

    it("reads the Link header", () => {
      const next = '<http://k/admin/identities?page_size=1&page_token=b%3D>; rel="next"';
      const first = '<http://k/admin/identities?page_size=1&page_token=a>; rel="first"';
      assert.equal(nextToken(`${first},${next}`), "b=");
      assert.equal(nextToken(`${next}, ${first}`), "b=");
      assert.equal(nextToken(first), null);
      assert.equal(nextToken(null), null);
    });
  });
}
