// The admin API of Ory Kratos as it is published, as far as the sync asks it: identities by pages, with opaque tokens that
// stand in the Link header.

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

export interface PlayedIdentity {
  id: string;
  schema_id: string;
  state: "active" | "inactive";
  traits: { email: string; name?: { first: string; last: string } };
  metadata_public: { roles?: string[] } | null;
}

export class Kratos {
  identities: PlayedIdentity[] = [];
  /** Answers this instead, from the second page on. */
  failing: number | null = null;
  /** What was asked, by page token. */
  readonly asked: (string | null)[] = [];
  #server: Server;
  #perPage: number;

  constructor(perPage: number) {
    this.#perPage = perPage;
    this.#server = createServer((request, response) => {
      const url = new URL(request.url ?? "/", "http://kratos");
      const token = url.searchParams.get("page_token");
      this.asked.push(token);
      if (request.method !== "GET" || url.pathname !== "/admin/identities") {
        response.writeHead(404).end();
      } else if (this.failing !== null && token !== null) {
        response.writeHead(this.failing, { "content-type": "application/json" }).end('{"error":{"code":500}}');
      } else {
        this.#page(token, response);
      }
    });
  }

  #page(token: string | null, response: import("node:http").ServerResponse): void {
    const begin = token === null ? 0 : this.identities.findIndex(({ id }) => tokenOf(id) === token);
    if (begin < 0) {
      response.writeHead(400).end();
      return;
    }
    // Fewer than asked for may come, as the API allows.
    const page = this.identities.slice(begin, begin + this.#perPage);
    const next = this.identities[begin + this.#perPage];
    const link = (query: string, rel: string) => `</admin/identities?page_size=${this.#perPage}${query}>; rel="${rel}"`;
    const links = [link("", "first"), ...(next ? [link(`&page_token=${tokenOf(next.id)}`, "next")] : [])];
    response.writeHead(200, { "content-type": "application/json", link: links.join(",") });
    response.end(JSON.stringify(page));
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function tokenOf(id: string): string {
  return Buffer.from(`pk=${id}`).toString("base64url");
}
