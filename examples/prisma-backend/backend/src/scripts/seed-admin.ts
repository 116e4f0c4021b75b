// Leaves the roles provisioned, and the user in ADMIN_EMAIL an active administrator. Can be run again at any time.

import { record } from "../services/audit.js";
import { provisionRoles } from "../services/roles.js";
import * as input from "../lib/input.js";
import { inOperation } from "../lib/errors.js";
import { prisma } from "../lib/prisma.js";
import { run } from "./run.js";

async function seedAdmin(email: string, name: string): Promise<string> {
  return await inOperation("seedAdmin", {}, () =>
    prisma.$transaction(async (database) => {
      const user = await database.user.upsert({
        where: { email },
        create: { email, name },
        update: { active: true },
        select: { id: true },
      });
      const { count } = await database.roleAssignment.createMany({
        data: [{ userId: user.id, roleName: "admin" }],
        skipDuplicates: true,
      });
      if (count > 0) await record(database, null, "user.roles", `user:${user.id}`, { to: ["admin"], by: "seed" });
      return user.id;
    }),
  );
}

await run("seed admin", async () => {
  const email = input.email("ADMIN_EMAIL", process.env.ADMIN_EMAIL ?? "admin@example.org");
  const provisioned = await provisionRoles();
  return { provisioned, admin: await seedAdmin(email, process.env.ADMIN_NAME ?? "Administrator") };
});
