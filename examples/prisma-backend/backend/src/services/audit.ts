// Who changed what.

import { withQueryTags } from "@prisma/sqlcommenter-query-tags";

import type { Prisma } from "../generated/prisma/client.js";
import { inOperation } from "../lib/errors.js";
import { type Database, prisma } from "../lib/prisma.js";
import type { AuditView } from "../lib/types.js";

/** Written on the transaction of the change itself. `actor` is null for what scripts do. */
export async function record(
  database: Database,
  actor: string | null,
  action: string,
  subject: string,
  detail: object,
): Promise<void> {
  const data = { actorId: actor, action, subject, detail: detail as Prisma.InputJsonObject };
  await database.auditEntry.create({ data });
}

/** The newest entries first, about one subject or about all. */
export async function listAudit(subject: string | null, take: number): Promise<AuditView[]> {
  return await inOperation("listAudit", { subject, take }, async () => {
    const where = subject === null ? {} : { subject };
    const entries = await prisma.auditEntry.findMany({ where, orderBy: { id: "desc" }, take });
    return entries.map(({ id, at, actorId, action, subject, detail }) => ({
      id: id.toString(),
      at: at.toISOString(),
      actor: actorId,
      action,
      subject,
      detail,
    }));
  });
}

export interface Report {
  users: number;
  active: number;
  changes: number;
  roles: Record<string, number>;
}

/**
 * Figures for a dashboard. They may be some seconds old, which is said to Tidegate by a tag: any healthy replica answers,
 * however far behind, also right after a write. To PostgreSQL itself the tag is a comment.
 */
export async function report(): Promise<Report> {
  return await inOperation("report", {}, () =>
    withQueryTags({ consistency: "eventual" }, async () => {
      const users = await prisma.user.count();
      const active = await prisma.user.count({ where: { active: true } });
      const changes = await prisma.auditEntry.count();
      const groups = await prisma.roleAssignment.groupBy({ by: ["roleName"], _count: true });
      return { users, active, changes, roles: Object.fromEntries(groups.map((group) => [group.roleName, group._count])) };
    }),
  );
}
