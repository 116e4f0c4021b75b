// Brings the users in line with the identities in Ory Kratos. Can be run again at any time, as by a timer.
//
//   KRATOS_ADMIN_URL=http://127.0.0.1:4434 npm run sync:identities

import { run } from "./run.js";
import { listIdentities } from "../services/kratos.js";
import { syncIdentities } from "../services/identities.js";
import { provisionRoles } from "../services/roles.js";

await run("sync identities", async () => {
  const kratos = process.env.KRATOS_ADMIN_URL;
  if (kratos === undefined) throw new Error("KRATOS_ADMIN_URL is not set. Say where the admin API of Kratos is: http://host:4434");
  // All of them first: if a page cannot be had, nothing is changed, and nobody is taken for gone.
  const identities = await listIdentities(new URL(kratos));
  const provisioned = await provisionRoles();
  const result = await syncIdentities(identities);
  if (result.conflicts.length > 0) process.exitCode = 1;
  return { provisioned, ...result };
});
