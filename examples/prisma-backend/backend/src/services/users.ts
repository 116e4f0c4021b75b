// Users and their roles.

import { type Database, prisma } from "../lib/prisma.js";
import { inOperation, Refusal } from "../lib/errors.js";
import type { UserView } from "../lib/types.js";
import { record } from "./audit.js";

const WITH_ROLES = { roles: { select: { roleName: true }, orderBy: { roleName: "asc" } } } as const;

interface UserRow {
  id: string;
  email: string;
  name: string;
  active: boolean;
  roles: { roleName: string }[];
}

function view({ id, email, name, active, roles }: UserRow): UserView {
  return { id, email, name, active, roles: roles.map((role) => role.roleName) };
}

export async function createUser(
  actor: string,
  input: { email: string; name: string; roles: string[] },
): Promise<UserView> {
  const { email, name, roles } = input;
  return await inOperation("createUser", { roles }, () =>
    prisma.$transaction(async (database) => {
      const data = { email, name, roles: { create: roles.map((roleName) => ({ roleName })) } };
      const user = await database.user.create({ data, include: WITH_ROLES });
      await record(database, actor, "user.created", `user:${user.id}`, { roles });
      return view(user);
    }),
  );
}

export async function findUser(id: string): Promise<UserView> {
  return await inOperation("findUser", { user: id }, async () =>
    view(await prisma.user.findUniqueOrThrow({ where: { id }, include: WITH_ROLES })),
  );
}

export interface UserPage {
  users: UserView[];
  /** Where the next page begins; null on the last one. */
  next: string | null;
}

/** In the order of their email addresses. */
export async function listUsers(role: string | null, after: string | null, take: number): Promise<UserPage> {
  return await inOperation("listUsers", { role, take }, async () => {
    const rows = await prisma.user.findMany({
      where: {
        ...(role !== null && { roles: { some: { roleName: role } } }),
        ...(after !== null && { email: { gt: after } }),
      },
      include: WITH_ROLES,
      orderBy: { email: "asc" },
      take: take + 1,
    });
    const users = rows.slice(0, take).map(view);
    return { users, next: rows.length > take ? (users.at(-1)?.email ?? null) : null };
  });
}

export async function updateUser(
  actor: string,
  id: string,
  changes: { name?: string; active?: boolean },
): Promise<UserView> {
  return await inOperation("updateUser", { user: id }, () =>
    prisma.$transaction(async (database) => {
      const user = await database.user.update({ where: { id }, data: changes, include: WITH_ROLES });
      if (changes.active === false) await keepAnAdmin(database);
      await record(database, actor, "user.updated", `user:${id}`, changes);
      return view(user);
    }),
  );
}

/** Replaces the roles of a user. The very next read, on whatever connection and node, goes by it. */
export async function setRoles(actor: string, id: string, roles: string[]): Promise<UserView> {
  return await inOperation("setRoles", { user: id, roles }, () =>
    prisma.$transaction(async (database) => {
      // Locks the user, so that two who set the roles come one after the other.
      await touch(database, id);
      const before = await database.roleAssignment.findMany({ where: { userId: id }, select: { roleName: true } });
      await database.roleAssignment.deleteMany({ where: { userId: id, roleName: { notIn: roles } } });
      await database.roleAssignment.createMany({
        data: roles.map((roleName) => ({ userId: id, roleName })),
        skipDuplicates: true,
      });
      const from = before.map((role) => role.roleName).sort();
      if (from.includes("admin") && !roles.includes("admin")) await keepAnAdmin(database);
      await record(database, actor, "user.roles", `user:${id}`, { from, to: [...roles].sort() });
      return view(await database.user.findUniqueOrThrow({ where: { id }, include: WITH_ROLES }));
    }),
  );
}

/** Hands a role from one user to another, both or neither. */
export async function transferRole(actor: string, role: string, from: string, to: string): Promise<void> {
  await inOperation("transferRole", { role, from, to }, () =>
    prisma.$transaction(async (database) => {
      await touch(database, from);
      const { count } = await database.roleAssignment.deleteMany({ where: { userId: from, roleName: role } });
      if (count === 0) throw new Refusal("conflict", `${from} does not have the role ${role}`);
      await touch(database, to);
      await database.roleAssignment.createMany({ data: [{ userId: to, roleName: role }], skipDuplicates: true });
      if (role === "admin") await keepAnAdmin(database);
      await record(database, actor, "role.transferred", `role:${role}`, { from, to });
    }),
  );
}

async function touch(database: Database, id: string): Promise<void> {
  await database.user.update({ where: { id }, data: { updatedAt: new Date() }, select: { id: true } });
}

/**
 * Within a transaction, after a change that may have taken the last one. The role is locked before they are counted: of two
 * who each take one of the last two, the second sees what the first has done.
 */
async function keepAnAdmin(database: Database): Promise<void> {
  await database.role.update({ where: { name: "admin" }, data: { name: "admin" } });
  const admins = await database.user.count({ where: { active: true, roles: { some: { roleName: "admin" } } } });
  if (admins === 0) throw new Refusal("conflict", "there has to be an active user with the role admin");
}
