import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { SEVERITIES } from "./check.ts";
import { CHECKS } from "./checks.ts";

test("docs/doctor.md has a row for every kind of fault", () => {
  const text = readFileSync(new URL("../../../../docs/doctor.md", import.meta.url), "utf8");
  const rows = text.split("\n").filter((line) => line.startsWith("| `"));
  const bySeverity = SEVERITIES.flatMap((severity) => CHECKS.filter((check) => check.severity === severity));
  expect(rows).toEqual(
    bySeverity.map(
      ({ kind, severity, title, means, remedy, fix }) =>
        `| \`${kind}\` | ${severity} | ${title} | ${means} | ${remedy} | ${fix?.does ?? "–"} |`,
    ),
  );
});
