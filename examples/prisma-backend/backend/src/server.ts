// The backend: wiring, start and stop.

import type { AddressInfo } from "node:net";

import { serve } from "./lib/http.js";
import { log } from "./lib/log.js";
import { prisma, START_UP_TEST_MS, testConnection } from "./lib/prisma.js";
import { authRoutes } from "./routes/auth.js";
import { healthRoutes } from "./routes/health.js";

const host = process.env.HOST ?? "127.0.0.1";
const port = Number(process.env.PORT ?? "3000");

const connection = await testConnection(START_UP_TEST_MS);
if (!connection.ok) {
  // Whoever started it is told at once; the log line above has the reason.
  log.error("not started: the database that DATABASE_URL names does not answer");
  await prisma.$disconnect();
  process.exit(1);
}
log.info("connected to the database", { latencyMs: connection.latencyMs });

const server = serve([...healthRoutes, ...authRoutes]);
server.listen(port, host, () => {
  const { port } = server.address() as AddressInfo;
  log.info("listening", { host, port });
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.once(signal, () => {
    log.info("stopping", { signal });
    server.close(() => void prisma.$disconnect().then(() => process.exit(0)));
    server.closeIdleConnections();
  });
}
