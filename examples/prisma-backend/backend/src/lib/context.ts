// Which request the code at hand is working for. Carried by Node, so that a log line far down knows it without being told.

import { AsyncLocalStorage } from "node:async_hooks";

export interface RequestFacts {
  requestId: string;
  route: string;
  actor: string | null;
}

const current = new AsyncLocalStorage<RequestFacts>();

export function inRequest<T>(facts: RequestFacts, work: () => Promise<T>): Promise<T> {
  return current.run(facts, work);
}

/** Empty outside of requests: at start-up, in scripts. */
export function requestFacts(): Partial<RequestFacts> {
  return current.getStore() ?? {};
}
