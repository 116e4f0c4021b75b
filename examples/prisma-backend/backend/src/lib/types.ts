// What goes over the wire between this service and the rest of the system, and what its parts tell each other.

/** What a role may do: an action on a resource, or `*` for any. */
export interface GrantView {
  resource: string;
  action: string;
}

export interface RoleView {
  name: string;
  description: string;
  grants: GrantView[];
}

export interface UserView {
  id: string;
  email: string;
  name: string;
  active: boolean;
  roles: string[];
}

export interface AuditView {
  /** A decimal number; JSON's numbers are too small for a BIGINT. */
  id: string;
  at: string;
  actor: string | null;
  action: string;
  subject: string;
  detail: unknown;
}

/** What the policy is asked. */
export interface DecisionInput {
  user: { id: string; active: boolean; roles: string[] } | null;
  grants: (GrantView & { role: string })[];
  resource: string;
  action: string;
  /** The user that the action is about, if it is about one. */
  subject: string | null;
}

/** What the policy says. */
export interface Decision {
  allow: boolean;
  /** The roles that grant it, or `self`. */
  by: string[];
  /** Why not; empty if allowed. */
  reasons: string[];
}

/** What testConnection() found. */
export type ConnectionState = { ok: true; latencyMs: number } | { ok: false; latencyMs: number; error: string };

/** Of what kind a failure is: what the caller can do about it. */
export type FailureKind =
  | "invalid"
  | "forbidden"
  | "not_found"
  | "duplicate"
  | "conflict"
  | "deadlock"
  | "timeout"
  | "unreachable"
  | "internal";

/** The body of every answer that is not a success. */
export interface ErrorBody {
  error: {
    kind: FailureKind;
    message: string;
    /** Finds the lines in the service log. */
    requestId: string;
    /** Whether the same request may succeed in a moment; it has changed nothing. */
    retryable: boolean;
    /** What was being done, if it failed in the database. */
    operation?: string;
    /** Prisma's code, as P2002. */
    prisma?: string;
    /** PostgreSQL's code, as 40P01. */
    sqlstate?: string;
  };
}
