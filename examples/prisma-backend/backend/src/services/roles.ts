// Roles and what they grant.

import { type Database, prisma } from "../lib/prisma.js";
import { inOperation, Refusal } from "../lib/errors.js";
import type { GrantView, RoleView } from "../lib/types.js";
import { record } from "./audit.js";

/** The roles that this service is made for. A new one is added here, and is there after the next seed or sync. */
export const CATALOGUE: RoleView[] = [
  { name: "admin", description: "Everything", grants: [{ resource: "*", action: "*" }] },
  {
    name: "manager",
    description: "Looks after users and what they may do",
    grants: [
      { resource: "users", action: "*" },
      { resource: "roles", action: "read" },
      { resource: "roles", action: "assign" },
      { resource: "decisions", action: "read" },
      { resource: "reports", action: "read" },
    ],
  },
  {
    name: "auditor",
    description: "Sees what was done",
    grants: [
      { resource: "audit", action: "read" },
      { resource: "users", action: "read" },
      { resource: "roles", action: "read" },
      { resource: "reports", action: "read" },
    ],
  },
  { name: "editor", description: "Writes documents", grants: [{ resource: "documents", action: "*" }] },
  { name: "viewer", description: "Reads documents", grants: [{ resource: "documents", action: "read" }] },
];

/** What everybody has whose identity says nothing else. */
export const DEFAULT_ROLE = "viewer";

/**
 * Makes the roles of the catalogue that are missing, with their grants, and gives those that are there the grants that they
 * lack. What somebody has granted beyond that stays. Returns the names of the roles that were made.
 */
export async function provisionRoles(): Promise<string[]> {
  return await inOperation("provisionRoles", {}, () =>
    prisma.$transaction(async (database) => {
      const there = new Set((await database.role.findMany({ select: { name: true } })).map((role) => role.name));
      const missing = CATALOGUE.filter((role) => !there.has(role.name));
      await database.role.createMany({
        data: missing.map(({ name, description }) => ({ name, description })),
        skipDuplicates: true,
      });
      await database.grant.createMany({
        data: CATALOGUE.flatMap((role) => role.grants.map((grant) => ({ roleName: role.name, ...grant }))),
        skipDuplicates: true,
      });
      const names = missing.map((role) => role.name);
      for (const name of names) await record(database, null, "role.provisioned", `role:${name}`, {});
      return names;
    }),
  );
}

/**
 * Makes sure that the role is there. One that is in no catalogue grants nothing until somebody says what it does, so a
 * name that the identity provider has made up opens no door.
 */
export async function ensureRole(database: Database, name: string): Promise<boolean> {
  const data = { name, description: "Named by the identity provider" };
  const { count } = await database.role.createMany({ data: [data], skipDuplicates: true });
  if (count > 0) await record(database, null, "role.provisioned", `role:${name}`, { grants: 0 });
  return count > 0;
}

export async function listRoles(): Promise<RoleView[]> {
  return await inOperation("listRoles", {}, async () => {
    const roles = await prisma.role.findMany({ include: { grants: true }, orderBy: { name: "asc" } });
    return roles.map(({ name, description, grants }) => ({
      name,
      description,
      grants: grants.map(({ resource, action }) => ({ resource, action })),
    }));
  });
}

/** Replaces what a role grants. The very next decision goes by it. */
export async function setGrants(actor: string, name: string, grants: GrantView[]): Promise<void> {
  if (name === "admin") throw new Refusal("conflict", "what admin grants is not changed: nobody could take it back");
  await inOperation("setGrants", { role: name, grants: grants.length }, () =>
    prisma.$transaction(async (database) => {
      // Locks the role, so that two who set its grants come one after the other; and says so if there is none.
      await database.role.update({ where: { name }, data: { name } });
      await database.grant.deleteMany({ where: { roleName: name } });
      await database.grant.createMany({
        data: grants.map((grant) => ({ roleName: name, ...grant })),
        skipDuplicates: true,
      });
      await record(database, actor, "role.grants", `role:${name}`, { grants });
    }),
  );
}
