import type { Row } from "./survey.ts";
import type { Survey, SurveyPart } from "./surveyPart.ts";

/**
 * How much a fault matters. "error": training refuses it, or learns or judges wrongly. "warning": something is lost, or other
 * programs stumble. "note": worth knowing.
 */
export type Severity = "error" | "warning" | "note";
/** Most severe first. */
export const SEVERITIES: readonly Severity[] = ["error", "warning", "note"];

/** One place where something is wrong. */
export interface Finding {
  readonly part: SurveyPart;
  /** What stands there, and where. */
  readonly text: string;
  /** The entry that it is about, where it is about one. */
  readonly row?: Row;
  /** What a fix sets there. */
  readonly put?: Readonly<Row["values"]>;
}

/** How a kind of fault is mended in a corrected copy. */
export interface Fix {
  /** What becomes of each: the end of "N boxes …". */
  readonly does: string;
  /** Changes rows. Several parts may be given at once, each finding in turn. */
  readonly mend: (finding: Finding, survey: Survey) => void;
}

/** A kind of fault. */
export interface Check {
  readonly kind: string;
  readonly severity: Severity;
  /** What it is, as a heading. */
  readonly title: string;
  /** What comes of it. */
  readonly means: string;
  /** What to do. */
  readonly remedy: string;
  readonly find: (survey: Survey) => Iterable<Finding>;
  readonly fix?: Fix;
}

/** A kind of fault that a data set has. */
export interface Fault extends Omit<Check, "find" | "fix"> {
  readonly count: number;
  /** The first few. */
  readonly examples: readonly string[];
  /** Whether a corrected copy is without it. */
  readonly fixable: boolean;
}

/** What a fix did about a kind of fault. */
export interface Change {
  readonly kind: string;
  readonly count: number;
  readonly did: string;
  readonly examples: readonly string[];
}

const EXAMPLES = 5;

/** What the checks find, most severe first. */
export function findFaults(survey: Survey, checks: readonly Check[]): Fault[] {
  const faults = checks.flatMap(({ find, fix, ...about }): Fault[] => {
    const { count, examples } = counted(find(survey));
    return count > 0 ? [{ ...about, count, examples, fixable: fix !== undefined }] : [];
  });
  const rank = ({ severity }: Fault) => SEVERITIES.indexOf(severity);
  return faults.sort((a, b) => rank(a) - rank(b));
}

function counted(findings: Iterable<Finding>): { count: number; examples: string[] } {
  let count = 0;
  const examples: string[] = [];
  for (const { text } of findings) if (++count <= EXAMPLES) examples.push(text);
  return { count, examples };
}

/** Rounds after which a fix that brings forth other faults is given up. */
const ROUNDS = 5;

/** Changes the survey's rows until no check that has a fix finds anything; says what was changed. */
export function mendFaults(survey: Survey, checks: readonly Check[]): Change[] {
  const changes = new Map<string, Change>();
  for (let round = 0; round < ROUNDS; round++) {
    let found = 0;
    for (const { kind, find, fix } of checks) {
      if (!fix) continue;
      const findings = [...find(survey)];
      for (const finding of findings) fix.mend(finding, survey);
      if (findings.length === 0) continue;
      for (const part of survey.parts) part.changed();
      found += findings.length;
      const before = changes.get(kind);
      const { count, examples } = counted(findings);
      changes.set(kind, before ? { ...before, count: before.count + count } : { kind, count, examples, did: fix.does });
    }
    if (found === 0) break;
  }
  return [...changes.values()];
}
