export type Verdict = "passed" | "failed" | "skipped";

export interface Check {
  readonly name: string;
  /** How far off the worst number is, in the units of `allowed`. */
  readonly error?: number;
  readonly allowed?: number;
  readonly verdict: Verdict;
  /** Why it was skipped, or what broke it. */
  readonly note?: string;
}

const NAME_WIDTH = 62;
const NUMBER_WIDTH = 10;

const numberText = (value: number | undefined): string =>
  value === undefined ? "" : Number.isInteger(value) && Math.abs(value) < 1e6 ? String(value) : value.toExponential(2);

const line = (cells: readonly [string, string, string, string]): string =>
  [cells[0].padEnd(NAME_WIDTH), cells[1].padStart(NUMBER_WIDTH), cells[2].padStart(NUMBER_WIDTH), cells[3]].join(" | ");

/** The table's head. */
export const HEADER = `${line(["check", "error", "allowed", "verdict"])}\n${"-".repeat(NAME_WIDTH + 2 * NUMBER_WIDTH + 17)}`;

/** One row of the table. */
export function checkLine({ name, error, allowed, verdict, note }: Check): string {
  return line([name, numberText(error), numberText(allowed), note === undefined ? verdict : `${verdict}: ${note}`]);
}

/** Collects checks, and hands each one on as it comes. */
export class Report {
  readonly checks: Check[] = [];
  readonly #onCheck: (check: Check) => void;

  constructor(onCheck: (check: Check) => void = () => {}) {
    this.#onCheck = onCheck;
  }

  #add(check: Check): void {
    this.checks.push(check);
    this.#onCheck(check);
  }

  /** Passes when `error` is at most `allowed`; NaN fails. */
  compare(name: string, error: number, allowed: number): void {
    this.#add({ name, error, allowed, verdict: error <= allowed ? "passed" : "failed" });
  }

  skip(name: string, note: string): void {
    this.#add({ name, verdict: "skipped", note });
  }

  fail(name: string, note: string): void {
    this.#add({ name, verdict: "failed", note });
  }

  count(verdict: Verdict): number {
    return this.checks.filter((check) => check.verdict === verdict).length;
  }

  /** `N passed, N failed, N skipped`. */
  get summary(): string {
    return `${this.count("passed")} passed, ${this.count("failed")} failed, ${this.count("skipped")} skipped`;
  }

  /** True when something ran and nothing failed. */
  get ok(): boolean {
    return this.count("passed") > 0 && this.count("failed") === 0;
  }
}
