import type { Command } from "commander";
import { expect, test } from "vitest";
import { runCommand } from "../../../test/runCommand.ts";
import { HELP } from "./help.ts";
import { createProgram } from "./main.ts";

/** All commands that do something, with the words that call them. */
function leaves(command: Command, words: readonly string[] = []): [path: string, command: Command][] {
  if (command.commands.length === 0) return [[words.join(" "), command]];
  return command.commands.flatMap((inner) => leaves(inner, [...words, inner.name()]));
}
const all = leaves(createProgram(() => {}));

test("every command has its examples, and every row a command", () => {
  expect(Object.keys(HELP).sort()).toEqual(all.map(([path]) => path).sort());
});

test.each(all)("%s: help with an example and exit codes, --json", async (path, command) => {
  const { code, out } = await runCommand(...path.split(" "), "--help");
  expect(code).toBe(0);
  expect(out).toMatch(/\nExamples?:\n {2}dfine /);
  expect(out).toMatch(/\nExit codes: 0 .+, 1 .+, 2 .+, 130 /);
  const known = new Set(command.options.flatMap(({ long, short }) => [long, short]));
  expect(known).toContain("--json");
  for (const example of HELP[path]!.examples) {
    expect(example.startsWith(path)).toBe(true);
    for (const [option] of example.matchAll(/(?<= )--[a-z-]+/g)) expect(known, example).toContain(option);
  }
});

const chosen = all.flatMap(([path, command]) =>
  command.options.flatMap(({ long, argChoices }) =>
    argChoices ? argChoices.filter((name) => name.length > 2).map((name) => [path, long!, name] as const) : [],
  ),
);

test("a wrong option, choice or command is answered with the nearest right one", async () => {
  expect(chosen.length).toBeGreaterThan(10);
  for (const [path, option, name] of chosen) {
    const { code, err } = await runCommand(...path.split(" "), option, `${name.slice(0, -1)}~`);
    expect(code).toBe(2);
    expect(err).toContain(`Did you mean ${name}?`);
  }
  for (const [path, command] of all) {
    const needed = command.options.filter(({ mandatory }) => mandatory).flatMap(({ long }) => [long!, "x"]);
    const wrong = await runCommand(...path.split(" "), ...needed, "--jsom");
    expect(wrong.code).toBe(2);
    expect(wrong.err).toContain("Did you mean --json?");
  }
  expect((await runCommand("predict", "x", "--weights", "y", "--save", "coco,yoll")).err).toContain(
    "Did you mean yolo?",
  );
  expect((await runCommand("convert", "coc")).code).toBe(2);
});
