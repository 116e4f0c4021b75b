// Whether somebody may do something: grants from the database, the decision by the policy.

import { withQueryTags } from "@prisma/sqlcommenter-query-tags";

import { inOperation, Refusal } from "../lib/errors.js";
import { evaluate } from "../lib/policy.js";
import { prisma } from "../lib/prisma.js";
import type { Decision } from "../lib/types.js";

export interface Question {
  /** The user who wants to. */
  user: string | null;
  action: string;
  resource: string;
  /** The user it is about, if it is about one. */
  subject?: string | null;
}

/**
 * Through Tidegate these reads see every role change that was acknowledged before them, wherever they run, and no tag is
 * needed for that. What changes who may do what asks for more: it has to see what was changed by any other way into the
 * database, too, an operator's psql on the primary for example.
 */
export async function decide(question: Question): Promise<Decision> {
  const { user, action, resource, subject = null } = question;
  const strict = resource === "roles" && action !== "read";
  const facts = { user, action, resource, subject };
  const found = await inOperation("decide", facts, () =>
    strict ? withQueryTags({ consistency: "strong" }, () => userWithGrants(user)) : userWithGrants(user),
  );
  return await evaluate({
    user: found && { id: found.id, active: found.active, roles: found.roles.map(({ roleName }) => roleName) },
    grants: found
      ? found.roles.flatMap(({ role }) =>
          role.grants.map(({ roleName, resource, action }) => ({ role: roleName, resource, action })),
        )
      : [],
    action,
    resource,
    subject,
  });
}

/** Throws a refusal, with the policy's reasons, unless the policy allows it. Returns who it is. */
export async function authorize(question: Question): Promise<string> {
  const decision = await decide(question);
  if (question.user === null || !decision.allow) {
    throw new Refusal("forbidden", decision.reasons.join("; ") || "no user was named");
  }
  return question.user;
}

async function userWithGrants(id: string | null) {
  if (id === null) return null;
  return await prisma.user.findUnique({
    where: { id },
    select: { id: true, active: true, roles: { select: { roleName: true, role: { select: { grants: true } } } } },
  });
}
