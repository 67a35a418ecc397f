import { readFileSync } from "node:fs";
import { expect } from "vitest";

/** A row of docs/bad-input.md. */
export interface BadInputRow {
  readonly id: string;
  readonly input: string;
  /** What is said; "…" stands for any text. Empty where nothing needs to be said. */
  readonly message: string;
  /** From the repository's root. */
  readonly test: string;
}

const ROW = /^\| ([a-z0-9-]+) \| (.+?) \| (?:`(.+?)`|(.*?)) \| `([^`]+)` \|$/gm;

/** All rows of all tables. */
export const badInputRows: readonly BadInputRow[] = [
  ...readFileSync(new URL("../../../docs/bad-input.md", import.meta.url), "utf8").matchAll(ROW),
].map(([, id, input, message, , test]) => ({ id: id!, input: input!, message: message ?? "", test: test! }));

/** Makes sure that `actual`, an error or what a command printed, says what docs/bad-input.md promises for a row. */
export function says(id: string, actual: unknown): void {
  const row = badInputRows.find((one) => one.id === id);
  expect(row, `docs/bad-input.md has no row ${id}`).toBeDefined();
  const pattern = row!.message.split("…").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  expect(actual instanceof Error ? actual.message : actual, `row ${id} of docs/bad-input.md`).toMatch(
    new RegExp(pattern.join("[\\s\\S]*?")),
  );
}

/** What a call throws; fails when it throws nothing. */
export async function thrown(call: () => unknown): Promise<Error> {
  try {
    await call();
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
    return error as Error;
  }
  return expect.unreachable("nothing was thrown");
}
