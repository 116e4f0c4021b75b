// Leaves the roles provisioned, and a handful of people to look at. Can be run again at any time; whoever is there stays as
// they are.

import { CATALOGUE, provisionRoles } from "../services/roles.js";
import { record } from "../services/audit.js";
import { inOperation } from "../lib/errors.js";
import { prisma } from "../lib/prisma.js";
import { run } from "./run.js";

const PEOPLE = [
  { email: "mira@example.org", name: "Mira", roles: ["manager"] },
  { email: "aldo@example.org", name: "Aldo", roles: ["auditor", "viewer"] },
  { email: "edith@example.org", name: "Edith", roles: ["editor", "viewer"] },
  { email: "vito@example.org", name: "Vito", roles: ["viewer"] },
  { email: "nora@example.org", name: "Nora", roles: [] },
];

async function seedPerson(person: (typeof PEOPLE)[number]): Promise<boolean> {
  const { email, name, roles } = person;
  return await inOperation("seedPerson", { roles }, () =>
    prisma.$transaction(async (database) => {
      const there = await database.user.findUnique({ where: { email }, select: { id: true } });
      if (there) return false;
      const data = { email, name, roles: { create: roles.map((roleName) => ({ roleName })) } };
      const user = await database.user.create({ data, select: { id: true } });
      await record(database, null, "user.created", `user:${user.id}`, { roles, by: "seed" });
      return true;
    }),
  );
}

await run("seed demo", async () => {
  const provisioned = await provisionRoles();
  let people = 0;
  for (const person of PEOPLE) people += Number(await seedPerson(person));
  return { provisioned, people, roles: CATALOGUE.length };
});
