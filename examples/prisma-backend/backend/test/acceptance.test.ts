// The acceptance test: the backend as a process, asked over HTTP, before whatever DATABASE_URL names. What the variables mean
// is in support/stage.ts.

import { after, before, describe } from "node:test";

import { prisma } from "../src/lib/prisma.js";
import { auth, policy } from "./checks/auth.js";
import { connection, outage } from "./checks/connection.js";
import { failures } from "./checks/failures.js";
import { roleChanges, sideBySide } from "./checks/freshness.js";
import { identities, migrations, seeds } from "./checks/provisioning.js";
import { routing } from "./checks/routing.js";
import { Stage } from "./support/stage.js";

const stage = new Stage();

describe("before the backend", () => {
  migrations(stage);
  seeds(stage);
  identities(stage);
  policy();
});

describe("the backend", () => {
  before(() => stage.startBackend());
  after(async () => {
    await prisma.$disconnect();
    await stage.close();
  });
  connection(stage);
  auth(stage);
  sideBySide(stage);
  roleChanges(stage);
  routing(stage);
  failures(stage);
  outage(stage);
});
