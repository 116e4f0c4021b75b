// What callers send, turned into types once. Everything after this can rely on them.

import { Refusal } from "./errors.js";
import type { GrantView } from "./types.js";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const NAME = /^[a-z][a-z0-9_-]{0,62}$/;
const EMAIL = /^[^\s@]+@[^\s@]+$/;

export function object(value: unknown): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Refusal("invalid", "the body has to be a JSON object");
  }
  return value as Record<string, unknown>;
}

export function uuid(name: string, value: unknown): string {
  if (typeof value === "string" && UUID.test(value)) return value.toLowerCase();
  throw new Refusal("invalid", `${name} has to be a UUID`);
}

export function text(name: string, value: unknown): string {
  if (typeof value === "string" && value.trim() !== "" && value.length <= 200) return value.trim();
  throw new Refusal("invalid", `${name} has to be a text of 1 to 200 characters`);
}

export function email(name: string, value: unknown): string {
  const given = text(name, value).toLowerCase();
  if (EMAIL.test(given)) return given;
  throw new Refusal("invalid", `${name} has to be an email address`);
}

export function flag(name: string, value: unknown): boolean {
  if (typeof value === "boolean") return value;
  throw new Refusal("invalid", `${name} has to be true or false`);
}

/** The name of a role, a resource or an action. */
export function word(name: string, value: unknown): string {
  if (typeof value === "string" && NAME.test(value)) return value;
  throw new Refusal("invalid", `${name} has to be lower-case letters, digits, - and _, beginning with a letter`);
}

export function words(name: string, value: unknown): string[] {
  if (!Array.isArray(value)) throw new Refusal("invalid", `${name} has to be a list`);
  return [...new Set(value.map((item) => word(name, item)))];
}

export function grants(name: string, value: unknown): GrantView[] {
  if (!Array.isArray(value)) throw new Refusal("invalid", `${name} has to be a list`);
  const pattern = (field: string, given: unknown) => (given === "*" ? "*" : word(`${name}.${field}`, given));
  return value.map(object).map((grant) => ({
    resource: pattern("resource", grant.resource),
    action: pattern("action", grant.action),
  }));
}

/** A whole number in a query string. */
export function count(name: string, value: string | null, otherwise: number, most: number): number {
  if (value === null) return otherwise;
  const given = Number(value);
  if (/^\d+$/.test(value) && given >= 1 && given <= most) return given;
  throw new Refusal("invalid", `${name} has to be a whole number from 1 to ${most}`);
}
