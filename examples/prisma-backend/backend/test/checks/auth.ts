// The routes, as their callers see them.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";

import { evaluate } from "../../src/lib/policy.js";
import type { DecisionInput } from "../../src/lib/types.js";
import type { Stage } from "../support/stage.js";

export function policy(): void {
  describe("policy", () => {
    const id = randomUUID();
    const question = (more: Partial<DecisionInput>): DecisionInput => ({
      user: { id, active: true, roles: ["editor"] },
      grants: [{ role: "editor", resource: "documents", action: "write" }],
      resource: "documents",
      action: "write",
      subject: null,
      ...more,
    });

    it("allows what a role of the user grants", async () => {
      assert.deepEqual(await evaluate(question({})), { allow: true, by: ["editor"], reasons: [] });
    });

    it("refuses another action, another resource, and a grant of another's role", async () => {
      assert.equal((await evaluate(question({ action: "delete" }))).allow, false);
      assert.equal((await evaluate(question({ resource: "users" }))).allow, false);
      const { allow, reasons } = await evaluate(question({ user: { id, active: true, roles: [] } }));
      assert.equal(allow, false);
      assert.deepEqual(reasons, ["no role grants write on documents"]);
    });

    it("takes * for anything", async () => {
      const grants = [{ role: "editor", resource: "*", action: "*" }];
      assert.equal((await evaluate(question({ grants, resource: "moon", action: "land" }))).allow, true);
      assert.equal((await evaluate(question({ grants: [{ role: "editor", resource: "documents", action: "*" }] }))).allow, true);
    });

    it("refuses who is unknown or not active, whatever they are granted", async () => {
      assert.deepEqual((await evaluate(question({ user: null }))).reasons, ["the user is not known"]);
      const inactive = await evaluate(question({ user: { id, active: false, roles: ["editor"] } }));
      assert.deepEqual([inactive.allow, inactive.reasons], [false, ["the user is not active"]]);
    });

    it("lets everybody look at themselves, and nobody give themselves roles", async () => {
      const self = question({ grants: [], resource: "users", action: "read", subject: id });
      assert.deepEqual((await evaluate(self)).by, ["self"]);
      const grants = [{ role: "editor", resource: "*", action: "*" }];
      const own = await evaluate(question({ grants, resource: "roles", action: "assign", subject: id }));
      assert.deepEqual([own.allow, own.reasons], [false, ["nobody changes their own roles"]]);
    });
  });
}

export function auth(stage: Stage): void {
  describe("users", () => {
    it("are created with roles, and found", async () => {
      const id = await stage.user("editor", "viewer");
      const { status, body } = await stage.call("GET", `/auth/users/${id}`);
      assert.equal(status, 200);
      assert.deepEqual(body.roles, ["editor", "viewer"]);
    });

    it("have an address of their own: 409 with what was done and Prisma's code", async () => {
      const user = { email: "admin@example.org", name: "Another", roles: [] };
      const { status, body } = await stage.call("POST", "/auth/users", user);
      assert.equal(status, 409);
      assert.equal(body.error.kind, "duplicate");
      assert.equal(body.error.operation, "createUser");
      assert.equal(body.error.prisma, "P2002");
      assert.equal(body.error.sqlstate, "23505");
      assert.equal(body.error.retryable, false);
      const line = await stage.backend.logged((line) => line.requestId === body.error.requestId);
      assert.equal(line.level, "error");
      assert.equal(line.route, "POST /auth/users");
      assert.equal(line.actor, stage.admin);
    });

    it("are created as a whole or not at all", async () => {
      const before = await stage.rows("SELECT (SELECT count(*) FROM users) u, (SELECT count(*) FROM audit_entries) a");
      const user = { email: "half@example.org", name: "Half", roles: ["viewer", "no-such-role"] };
      const { status, body } = await stage.call("POST", "/auth/users", user);
      assert.equal(status, 409, JSON.stringify(body));
      assert.equal(body.error.kind, "conflict");
      const after = await stage.rows("SELECT (SELECT count(*) FROM users) u, (SELECT count(*) FROM audit_entries) a");
      assert.deepEqual(after, before);
    });

    it("that are not there are 404", async () => {
      const { status, body } = await stage.call("GET", `/auth/users/${randomUUID()}`);
      assert.equal(status, 404);
      assert.equal(body.error.prisma, "P2025");
      assert.equal(body.error.operation, "findUser");
    });

    it("are listed page by page, and by role", async () => {
      for (let n = 0; n < 5; n += 1) await stage.user("auditor");
      const seen: string[] = [];
      let after: string | null = null;
      do {
        const query: string = `role=auditor&take=2${after === null ? "" : `&after=${encodeURIComponent(after)}`}`;
        const { body } = await stage.call("GET", `/auth/users?${query}`);
        assert.ok(body.users.length <= 2);
        seen.push(...body.users.map((user: { email: string }) => user.email));
        after = body.next;
      } while (after !== null);
      const rows = await stage.rows<{ email: string }>(
        "SELECT email FROM users JOIN role_assignments ON user_id = id WHERE role_name = 'auditor'",
      );
      assert.deepEqual(seen.toSorted(), rows.map((row) => row.email).toSorted());
    });

    it("can do nothing from the moment they are deactivated", async () => {
      const manager = await stage.user("manager");
      assert.equal((await stage.call("GET", "/auth/roles", undefined, manager)).status, 200);
      const { body } = await stage.call("PATCH", `/auth/users/${manager}`, { active: false });
      assert.equal(body.active, false);
      const refused = await stage.call("GET", "/auth/roles", undefined, manager);
      assert.equal(refused.status, 403);
      assert.equal(refused.body.error.message, "the user is not active");
    });

    it("may look at themselves, and at nobody else", async () => {
      const [one, other] = [await stage.user(), await stage.user()];
      assert.equal((await stage.call("GET", "/auth/me", undefined, one)).body.id, one);
      assert.equal((await stage.call("GET", `/auth/users/${one}`, undefined, one)).status, 200);
      assert.equal((await stage.call("GET", `/auth/users/${other}`, undefined, one)).status, 403);
    });
  });

  describe("roles", () => {
    it("are replaced as a whole, and the change is in the audit log", async () => {
      const id = await stage.user("editor");
      const { status, body } = await stage.call("PUT", `/auth/users/${id}/roles`, { roles: ["viewer", "auditor"] });
      assert.equal(status, 200);
      assert.deepEqual(body.roles, ["auditor", "viewer"]);
      const audit = await stage.call("GET", `/auth/audit?subject=user:${id}&take=1`);
      const [entry] = audit.body.entries;
      assert.equal(entry.action, "user.roles");
      assert.equal(entry.actor, stage.admin);
      assert.deepEqual(entry.detail, { from: ["editor"], to: ["auditor", "viewer"] });
    });

    it("that do not exist change nothing", async () => {
      const id = await stage.user("editor");
      const { status, body } = await stage.call("PUT", `/auth/users/${id}/roles`, { roles: ["no-such-role"] });
      assert.equal(status, 409);
      assert.equal(body.error.prisma, "P2003");
      assert.deepEqual((await stage.call("GET", `/auth/users/${id}`)).body.roles, ["editor"]);
    });

    it("are not given to oneself", async () => {
      const manager = await stage.user("manager");
      const { status, body } = await stage.call("PUT", `/auth/users/${manager}/roles`, { roles: ["admin"] }, manager);
      assert.equal(status, 403);
      assert.equal(body.error.message, "nobody changes their own roles");
    });

    it("leave an administrator, also when two are taken at the same time", async () => {
      const [one, two] = [await stage.user("admin"), await stage.user("admin")];
      await stage.call("PUT", `/auth/users/${stage.admin}/roles`, { roles: [] }, one);
      const answers = await Promise.all([
        stage.call("PUT", `/auth/users/${two}/roles`, { roles: [] }, one),
        stage.call("PUT", `/auth/users/${one}/roles`, { roles: [] }, two),
      ]);
      const left = await stage.rows<{ user_id: string }>(
        "SELECT user_id FROM role_assignments JOIN users ON id = user_id WHERE role_name = 'admin' AND active",
      );
      assert.equal(left.length, 1, JSON.stringify(answers));
      // The others' test users are of no concern: give the seed's administrator the role back.
      const { status } = await stage.call(
        ...(["PUT", `/auth/users/${stage.admin}/roles`, { roles: ["admin"] }, left[0]?.user_id ?? null] as const),
      );
      assert.equal(status, 200);
    });

    it("are handed over, both sides or neither", async () => {
      const [from, to] = [await stage.user("editor"), await stage.user()];
      const path = "/auth/roles/editor/transfer";
      assert.equal((await stage.call("POST", path, { from, to })).status, 204);
      assert.deepEqual((await stage.call("GET", `/auth/users/${from}`)).body.roles, []);
      assert.deepEqual((await stage.call("GET", `/auth/users/${to}`)).body.roles, ["editor"]);
      const again = await stage.call("POST", path, { from, to });
      assert.equal(again.status, 409);
      const nobody = await stage.call("POST", path, { from: to, to: randomUUID() });
      assert.equal(nobody.status, 404);
      assert.deepEqual((await stage.call("GET", `/auth/users/${to}`)).body.roles, ["editor"]);
    });

    it("grant what they are told to, and admin is left alone", async () => {
      const grants = [{ resource: "maps", action: "read" }];
      assert.equal((await stage.call("PUT", "/auth/roles/archivist/grants", { grants })).status, 204);
      const { body } = await stage.call("GET", "/auth/roles");
      const archivist = body.roles.find((role: { name: string }) => role.name === "archivist");
      assert.deepEqual(archivist.grants, grants);
      assert.equal((await stage.call("PUT", "/auth/roles/admin/grants", { grants: [] })).status, 409);
      assert.equal((await stage.call("PUT", "/auth/roles/no-such-role/grants", { grants })).status, 404);
    });
  });

  describe("requests", () => {
    const refused: [string, string, string, unknown, number, RegExp][] = [
      ["without a name", "POST", "/auth/users", { email: "a@b.c" }, 400, /name has to be/],
      ["with a bad address", "POST", "/auth/users", { email: "here", name: "x" }, 400, /email address/],
      ["with a bad role", "POST", "/auth/users", { email: "a@b.c", name: "x", roles: ["A B"] }, 400, /roles has to be/],
      ["with a bad id", "GET", "/auth/users/7", undefined, 400, /UUID/],
      ["for too large a page", "GET", "/auth/users?take=1000", undefined, 400, /from 1 to 200/],
      ["for what is not there", "GET", "/auth/moon", undefined, 404, /there is no GET/],
    ];
    for (const [name, method, path, body, status, message] of refused) {
      it(`${name}: ${status}`, async () => {
        const answer = await stage.call(method, path, body);
        assert.equal(answer.status, status);
        assert.match(answer.body.error.message, message);
        assert.ok(answer.body.error.requestId);
      });
    }

    it("of nobody, and of somebody unknown: 403", async () => {
      for (const who of [null, randomUUID()]) {
        const { status, body } = await stage.call("GET", "/auth/roles", undefined, who);
        assert.equal(status, 403);
        assert.equal(body.error.message, "the user is not known");
      }
    });
  });
}
