// The policy in gateway/opa/policies/rbac.rego, asked by OPA's REST API. What keeps it from answering is no permission: who
// asks gets an error, and nothing is done.

import { Refusal } from "./errors.js";
import { log } from "./log.js";
import type { Decision, DecisionInput } from "./types.js";

const ENGINE = new URL("/v1/data/rbac/decision", process.env.OPA_URL ?? "http://127.0.0.1:8181");
const ANSWER_MS = 1_000;

export async function evaluate(input: DecisionInput): Promise<Decision> {
  try {
    const response = await fetch(ENGINE, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ input }),
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    const body: unknown = await response.json();
    if (!response.ok) throw new Error(`it answered with ${response.status}: ${JSON.stringify(body)}`);
    return decision(body);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    log.error("the policy engine gave no decision", { engine: ENGINE.origin, reason });
    throw new Refusal("unreachable", "the policy engine gave no decision");
  }
}

/** A rule that is undefined, as by a policy that was not loaded, has no result. */
function decision(body: unknown): Decision {
  const result = (body as { result?: Partial<Decision> } | null)?.result;
  if (typeof result?.allow !== "boolean" || !Array.isArray(result.by) || !Array.isArray(result.reasons)) {
    throw new Error("it answered without a decision");
  }
  return { allow: result.allow, by: result.by, reasons: result.reasons };
}
