// For probes and balancers: green while the database answers and takes writes.

import type { Route } from "../lib/http.js";
import { testConnection } from "../lib/prisma.js";

export const healthRoutes: Route[] = [
  {
    method: "GET",
    path: "/health",
    handle: async () => {
      const database = await testConnection();
      // What went wrong is in the service log; strangers who can reach a health route need not know.
      const { ok, latencyMs } = database;
      return { status: ok ? 200 : 503, body: { status: ok ? "ok" : "unavailable", database: { ok, latencyMs } } };
    },
  },
];
