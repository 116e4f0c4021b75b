// Loaded into what the tests start: it ends when they do, however they end, because only they hold the other end of its
// standard input.

import type { Socket } from "node:net";

const input = process.stdin as unknown as Socket;
input.on("end", () => process.exit(2));
input.resume();
input.unref();
