// Readers of JSON: what comes from the network is checked before it is used.

/** Something came that isn't what was agreed. */
export class Malformed extends Error {}

export type Fields = Readonly<Record<string, unknown>>;

export function fields(value: unknown): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Malformed("no object");
  return value as Fields;
}

export function text(from: Fields, name: string): string {
  const value = from[name];
  if (typeof value !== "string") throw new Malformed(`${name} is no text`);
  return value;
}

export function number(from: Fields, name: string): number {
  const value = from[name];
  if (typeof value !== "number") throw new Malformed(`${name} is no number`);
  return value;
}

export function flag(from: Fields, name: string): boolean {
  return from[name] === true;
}

/** A text that may be missing. */
export function maybeText(from: Fields, name: string): string | null {
  return isMissing(from, name) ? null : text(from, name);
}

/** A number that may be missing. */
export function maybeNumber(from: Fields, name: string): number | null {
  return isMissing(from, name) ? null : number(from, name);
}

/** An object that may be missing. */
export function maybe<T>(from: Fields, name: string, read: (value: unknown) => T): T | null {
  return isMissing(from, name) ? null : read(from[name]);
}

/** A list; a missing one is empty. */
export function list<T>(from: Fields, name: string, read: (value: unknown) => T): T[] {
  if (isMissing(from, name)) return [];
  const value = from[name];
  if (!Array.isArray(value)) throw new Malformed(`${name} is no list`);
  return value.map(read);
}

export function texts(from: Fields, name: string): string[] {
  return list(from, name, (value) => {
    if (typeof value !== "string") throw new Malformed(`${name} has more than texts`);
    return value;
  });
}

function isMissing(from: Fields, name: string): boolean {
  return from[name] === undefined || from[name] === null;
}

export function parsed(json: string): unknown {
  try {
    return JSON.parse(json) as unknown;
  } catch {
    throw new Malformed("no JSON");
  }
}
