import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";

const SPECIFICATION = "docs/specification.md";
const exclude = ["**/node_modules/**", "**/dist/**", "scripts/citations.test.ts"];
const read = (pattern: string) =>
  globSync(pattern, { exclude }).map((path) => ({ path, text: readFileSync(path, "utf8") }));

const sources = read("{packages,parity,scripts,bench,examples}/**/*.{ts,mjs,html,md}");
const pages = [...read("*.md"), ...read("docs/*.md"), ...read("{packages,examples}/*/README.md")];
const specification = readFileSync(SPECIFICATION, "utf8");

/** Citations in one text that lead nowhere: of our specification, or of a paper's section that it does not name. */
function unfounded(text: string, specified = specification): string[] {
  const sections = new Set([...specified.matchAll(/^## (\d+)\./gm)].map(([, number]) => number!));
  const named = [...text.matchAll(/specification(\.md §(\d+))?/gi)];
  const own = named.filter(([, , number]) => number === undefined || !sections.has(number)).map(([words]) => words);
  const papers = [...text.matchAll(/(D-FINE|DINO) §[\d.]*\d/g)].map(([words]) => words);
  return [...own, ...papers.filter((words) => !specified.includes(words))];
}

test("what code and tests cite is written in docs/specification.md", () => {
  expect(sources.length).toBeGreaterThan(400);
  expect(sources.flatMap(({ path, text }) => unfounded(text).map((words) => `${path}: ${words}`))).toEqual([]);
});

test("a section that does not exist, the bare word and a paper's section that is not named are found", () => {
  const specified = "DINO §3.3\n## 1. One\n## 12. Twelve\n";
  expect(unfounded("docs/specification.md §12, DINO §3.3", specified)).toEqual([]);
  const wrong = ["Specification", "specification.md §2", "DINO §3.4"];
  expect(unfounded("Specification, Appendix D; docs/specification.md §2; DINO §3.4.", specified)).toEqual(wrong);
});

/** Files that a page links or names between backquotes, as seen from its own folder, the root or a package's sources. */
function missingFiles({ path, text }: { path: string; text: string }): string[] {
  const links = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, file]) => join(dirname(path), file!));
  const paths = /`((?:docs|packages|parity|scripts|bench|examples)\/[\w./-]+\.\w+|[\w-]+\/src\/[\w./-]+\.ts)`/g;
  const places = (file: string) => [file, join("packages", file), join(dirname(path), file)];
  const named = [...text.matchAll(paths)].map(([, file]) => file!);
  return [...links, ...named].filter((file) => !places(file).some(existsSync)).map((file) => `${path}: ${file}`);
}

test("files that the documentation links or names exist", () => {
  expect(pages.length).toBeGreaterThan(10);
  expect(pages.flatMap(missingFiles)).toEqual([]);
  const page = { path: "docs/design.md", text: "[a](missing.md) `tensor/src/scope.ts` `tensor/src/gone.ts`" };
  expect(missingFiles(page)).toEqual(["docs/design.md: docs/missing.md", "docs/design.md: tensor/src/gone.ts"]);
});
