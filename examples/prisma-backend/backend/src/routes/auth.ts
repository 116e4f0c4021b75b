// Users, roles, permission grants and the audit log. Each route says what it needs, asks the policy, and does it.

import * as input from "../lib/input.js";
import type { Handler, Request, Route } from "../lib/http.js";
import { listAudit, report } from "../services/audit.js";
import { authorize, decide } from "../services/decisions.js";
import { listRoles, setGrants } from "../services/roles.js";
import { createUser, findUser, listUsers, setRoles, transferRole, updateUser } from "../services/users.js";

const MOST_PER_PAGE = 200;

/** The actor, if the policy lets them. */
async function may(request: Request, action: string, resource: string, subject?: string): Promise<string> {
  const user = request.actor === null ? null : input.uuid("x-user-id", request.actor);
  return await authorize({ user, action, resource, subject: subject ?? null });
}

const ok = (body: unknown) => ({ status: 200, body });
const done = { status: 204, body: undefined };

const postUser: Handler = async (request) => {
  const actor = await may(request, "create", "users");
  const body = input.object(request.body);
  const user = await createUser(actor, {
    email: input.email("email", body.email),
    name: input.text("name", body.name),
    roles: input.words("roles", body.roles ?? []),
  });
  return { status: 201, body: user };
};

const getUsers: Handler = async (request) => {
  await may(request, "read", "users");
  const role = request.query.get("role");
  const take = input.count("take", request.query.get("take"), 50, MOST_PER_PAGE);
  return ok(await listUsers(role === null ? null : input.word("role", role), request.query.get("after"), take));
};

const getUser: Handler = async (request) => {
  const id = input.uuid("id", request.params.id);
  await may(request, "read", "users", id);
  return ok(await findUser(id));
};

const getMe: Handler = async (request) => {
  const id = input.uuid("x-user-id", request.actor);
  await may(request, "read", "users", id);
  return ok(await findUser(id));
};

const patchUser: Handler = async (request) => {
  const id = input.uuid("id", request.params.id);
  const actor = await may(request, "update", "users", id);
  const body = input.object(request.body);
  const changes = {
    ...(body.name !== undefined && { name: input.text("name", body.name) }),
    ...(body.active !== undefined && { active: input.flag("active", body.active) }),
  };
  return ok(await updateUser(actor, id, changes));
};

const putUserRoles: Handler = async (request) => {
  const id = input.uuid("id", request.params.id);
  const actor = await may(request, "assign", "roles", id);
  const roles = input.words("roles", input.object(request.body).roles);
  return ok(await setRoles(actor, id, roles));
};

const getRoles: Handler = async (request) => {
  await may(request, "read", "roles");
  return ok({ roles: await listRoles() });
};

const putGrants: Handler = async (request) => {
  const role = input.word("role", request.params.role);
  const actor = await may(request, "update", "roles");
  await setGrants(actor, role, input.grants("grants", input.object(request.body).grants));
  return done;
};

const postTransfer: Handler = async (request) => {
  const role = input.word("role", request.params.role);
  const body = input.object(request.body);
  const [from, to] = [input.uuid("from", body.from), input.uuid("to", body.to)];
  await may(request, "assign", "roles", from);
  const actor = await may(request, "assign", "roles", to);
  await transferRole(actor, role, from, to);
  return done;
};

const postDecision: Handler = async (request) => {
  await may(request, "read", "decisions");
  const body = input.object(request.body);
  const decision = await decide({
    user: input.uuid("user", body.user),
    action: input.word("action", body.action),
    resource: input.word("resource", body.resource),
    subject: body.subject === undefined ? null : input.uuid("subject", body.subject),
  });
  return ok(decision);
};

const getAudit: Handler = async (request) => {
  await may(request, "read", "audit");
  const take = input.count("take", request.query.get("take"), 50, MOST_PER_PAGE);
  return ok({ entries: await listAudit(request.query.get("subject"), take) });
};

const getReport: Handler = async (request) => {
  await may(request, "read", "reports");
  return ok(await report());
};

export const authRoutes: Route[] = [
  { method: "POST", path: "/auth/users", handle: postUser },
  { method: "GET", path: "/auth/users", handle: getUsers },
  { method: "GET", path: "/auth/users/:id", handle: getUser },
  { method: "PATCH", path: "/auth/users/:id", handle: patchUser },
  { method: "PUT", path: "/auth/users/:id/roles", handle: putUserRoles },
  { method: "GET", path: "/auth/me", handle: getMe },
  { method: "GET", path: "/auth/roles", handle: getRoles },
  { method: "PUT", path: "/auth/roles/:role/grants", handle: putGrants },
  { method: "POST", path: "/auth/roles/:role/transfer", handle: postTransfer },
  { method: "POST", path: "/auth/decisions", handle: postDecision },
  { method: "GET", path: "/auth/audit", handle: getAudit },
  { method: "GET", path: "/auth/report", handle: getReport },
];
