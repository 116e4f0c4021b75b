// The admin API of Ory Kratos, as far as it is needed: GET /admin/identities, page by page.
// https://www.ory.sh/docs/kratos/reference/api#tag/identity/operation/listIdentities

export interface Identity {
  id: string;
  active: boolean;
  email: string;
  name: string;
  /** From `metadata_public.roles`, which only the admin API can set; null if nothing is said there. */
  roles: string[] | null;
}

const PER_PAGE = 250;
const ANSWER_MS = 10_000;

export async function listIdentities(admin: URL, perPage = PER_PAGE): Promise<Identity[]> {
  const found: Identity[] = [];
  const seen = new Set<string>();
  let token: string | null = null;
  do {
    const page = await fetchPage(admin, perPage, token);
    found.push(...page.identities);
    token = page.next;
    if (token !== null && seen.has(token)) throw new Error(`Kratos gave the page token ${token} twice`);
    if (token !== null) seen.add(token);
  } while (token !== null);
  return found;
}

async function fetchPage(
  admin: URL,
  perPage: number,
  token: string | null,
): Promise<{ identities: Identity[]; next: string | null }> {
  const url = new URL("admin/identities", admin.href.endsWith("/") ? admin : `${admin.href}/`);
  url.searchParams.set("page_size", String(perPage));
  if (token !== null) url.searchParams.set("page_token", token);
  const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS) });
  if (!response.ok) throw new Error(`Kratos answered GET ${url.pathname} with ${response.status}`);
  const body: unknown = await response.json();
  if (!Array.isArray(body)) throw new Error(`Kratos answered GET ${url.pathname} with something else than a list`);
  return { identities: body.map(identity), next: nextToken(response.headers.get("link")) };
}

/**
 * The token in the link to the next page, as RFC 8288 writes it. Only the token is taken from it: behind a gateway, the
 * address in the link is not always one that can be reached from here.
 */
export function nextToken(link: string | null): string | null {
  for (const [, target, parameters] of (link ?? "").matchAll(/<([^>]*)>([^<]*)/g)) {
    if (/;\s*rel="?([^";]*\s)?next(\s[^";]*)?"?/i.test(parameters ?? "")) {
      return new URL(target ?? "", "http://kratos").searchParams.get("page_token");
    }
  }
  return null;
}

function identity(value: unknown): Identity {
  const it = record(value);
  const traits = record(it?.traits);
  const metadata = record(it?.metadata_public);
  if (typeof it?.id !== "string" || typeof traits?.email !== "string") {
    throw new Error(`Kratos gave an identity without id or email: ${String(it?.id)}`);
  }
  const roles = metadata?.roles;
  return {
    id: it.id,
    active: it.state !== "inactive",
    email: traits.email.toLowerCase(),
    name: fullName(traits.name) ?? traits.email,
    roles: Array.isArray(roles) ? roles.filter((role) => typeof role === "string") : null,
  };
}

/** The schemas that Kratos comes with have either a text or first and last name. */
function fullName(name: unknown): string | null {
  if (typeof name === "string" && name !== "") return name;
  const parts = record(name);
  const full = [parts?.first, parts?.last].filter((part) => typeof part === "string" && part !== "").join(" ");
  return full === "" ? null : full;
}

function record(value: unknown): Record<string, unknown> | null {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : null;
}
