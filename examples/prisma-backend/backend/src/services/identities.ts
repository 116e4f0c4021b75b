// Users as the identity provider has them.

import { DatabaseError, inOperation, Refusal } from "../lib/errors.js";
import { log } from "../lib/log.js";
import { type Database, prisma } from "../lib/prisma.js";
import { record } from "./audit.js";
import type { Identity } from "./kratos.js";
import { DEFAULT_ROLE, ensureRole } from "./roles.js";

export interface SyncResult {
  identities: number;
  changed: number;
  /** Users whose identity is gone. They stay for the audit log, and can do nothing. */
  deactivated: number;
  /** Roles that no catalogue has, made because an identity names them. They grant nothing yet. */
  newRoles: string[];
  /** Identities whose email address another user has, one that was made by hand. Somebody has to say who is meant. */
  conflicts: string[];
}

/** Each identity in a transaction of its own, so that locks are held for moments. */
export async function syncIdentities(identities: Identity[]): Promise<SyncResult> {
  const result: SyncResult = { identities: identities.length, changed: 0, deactivated: 0, newRoles: [], conflicts: [] };
  if (identities.length === 0 && (await prisma.user.count({ where: { synced: true, active: true } })) > 0) {
    throw new Refusal("conflict", "Kratos has no identity at all, so everybody would be locked out; nothing was changed");
  }
  for (const identity of identities) {
    try {
      const { changed, newRoles } = await inOperation("syncIdentity", { user: identity.id }, () =>
        prisma.$transaction((database) => syncIdentity(database, identity)),
      );
      result.changed += Number(changed);
      result.newRoles.push(...newRoles);
    } catch (error) {
      if (!(error instanceof DatabaseError && error.failure.kind === "duplicate")) throw error;
      log.error("an identity has the email address of another user", { user: identity.id });
      result.conflicts.push(identity.id);
    }
  }
  result.deactivated = await deactivateOthers(identities);
  for (const role of result.newRoles) log.warn("a role without grants was made; say what it may do", { role });
  return result;
}

async function syncIdentity(database: Database, identity: Identity): Promise<{ changed: boolean; newRoles: string[] }> {
  const { id, email, name, active } = identity;
  const wanted = identity.roles ?? [DEFAULT_ROLE];
  const newRoles: string[] = [];
  for (const role of wanted) if (await ensureRole(database, role)) newRoles.push(role);

  const before = await database.user.findUnique({
    where: { id },
    select: { email: true, name: true, active: true, roles: { select: { roleName: true } } },
  });
  const had = before?.roles.map((role) => role.roleName) ?? [];
  // Of an identity that says nothing of roles, those that were given here stay.
  const roles = identity.roles === null && before ? had : wanted;
  const same = before?.email === email && before.name === name && before.active === active && sameSet(had, roles);
  if (same) return { changed: false, newRoles };

  const data = { email, name, active, synced: true };
  await database.user.upsert({ where: { id }, create: { id, ...data }, update: data, select: { id: true } });
  await database.roleAssignment.deleteMany({ where: { userId: id, roleName: { notIn: roles } } });
  await database.roleAssignment.createMany({
    data: roles.map((roleName) => ({ userId: id, roleName })),
    skipDuplicates: true,
  });
  await record(database, null, before ? "user.synced" : "user.created", `user:${id}`, { active, from: had, to: roles });
  return { changed: true, newRoles };
}

async function deactivateOthers(identities: Identity[]): Promise<number> {
  return await inOperation("deactivateOthers", { identities: identities.length }, () =>
    prisma.$transaction(async (database) => {
      const known = identities.map((identity) => identity.id);
      const gone = await database.user.findMany({
        where: { synced: true, active: true, id: { notIn: known } },
        select: { id: true },
      });
      await database.user.updateMany({ where: { id: { in: gone.map((user) => user.id) } }, data: { active: false } });
      for (const { id } of gone) await record(database, null, "user.deactivated", `user:${id}`, { by: "sync" });
      return gone.length;
    }),
  );
}

function sameSet(one: string[], other: string[]): boolean {
  return one.length === other.length && one.every((item) => other.includes(item));
}
