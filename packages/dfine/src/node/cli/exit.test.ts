import { readFileSync } from "node:fs";
import { glob } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { CommanderError } from "commander";
import { expect, test } from "vitest";
import { ERRORS, EXIT, explain, UsageError } from "./exit.ts";

const packages = fileURLToPath(new URL("../../../../", import.meta.url));

/** Names of the error classes that the sources of all packages define. */
async function definedErrors(): Promise<string[]> {
  const names: string[] = [];
  for await (const path of glob("*/src/**/*.ts", { cwd: packages })) {
    if (path.endsWith(".test.ts")) continue;
    const text = readFileSync(packages + path, "utf8");
    for (const [, name] of text.matchAll(/\bclass\s+(\w+)[^{]*?\bextends\s+\w*Error\b/g)) names.push(name!);
  }
  return names;
}

test("every error class of the packages has an entry, and every entry a class", async () => {
  const defined = await definedErrors();
  expect(defined).toContain("ShapeError");
  expect(Object.keys(ERRORS).sort()).toEqual([...new Set(defined)].sort());
});

const named = (name: string): Error => Object.assign(new Error("what, and what to do"), { name });

test.each(Object.entries(ERRORS))("%s ends a command with %s", (name, code) => {
  const { code: exit, message } = explain(named(name));
  expect(exit).toBe(code === "fault" ? EXIT.failure : code);
  expect(message.includes("\n    at ")).toBe(code === "fault");
});

test("errors of the system are said without a stack, unknown ones with it", () => {
  expect(explain(Object.assign(named("Error"), { code: "EPIPE" })).message).toBe("what, and what to do");
  expect(explain(named("TypeError")).message).toContain("\n    at ");
  expect(explain("text")).toEqual({ code: EXIT.failure, message: "text" });
});

test("wrong usage is 2, also commander's", () => {
  expect(explain(new UsageError("x")).code).toBe(2);
  expect(explain(new CommanderError(1, "commander.unknownOption", "x"))).toEqual({ code: 2, message: "" });
});
