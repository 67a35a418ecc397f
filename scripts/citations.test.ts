import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";

const SPECIFICATION = "docs/specification.md";
const OWN = "scripts/citations.test.ts";
const exclude = ["**/node_modules/**", "**/dist/**"];
const read = (pattern: string) =>
  globSync(pattern, { exclude }).map((path) => ({ path, text: readFileSync(path, "utf8") }));

const sources = read("{packages,parity,scripts,bench,examples}/**/*.{ts,mjs,html,md}").filter(
  ({ path }) => path !== OWN,
);
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

const files = globSync(["*.ts", "{packages,parity,scripts,bench,examples,docs}/**/*.{ts,mjs,md}"], { exclude }).map(
  (path) => `/${path.replaceAll("\\", "/")}`,
);

/** Files and folders that a page links, or names between backquotes by the end of their path, and that do not exist. */
function missingFiles({ path, text }: { path: string; text: string }): string[] {
  const links = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, link]) => link!);
  const ends = [...text.matchAll(/`([\w./-]+(?:\.ts|\.mjs|\.md|\/))`/g)].map(([, end]) => end!);
  const isThere = (end: string) =>
    /^(\.|name\.|runs\/)/.test(end) ||
    files.some((file) => (end.endsWith("/") ? file.includes(`/${end}`) : file.endsWith(`/${end}`)));
  return [
    ...links.filter((link) => !existsSync(join(dirname(path), link))),
    ...ends.filter((end) => !isThere(end)),
  ].map((what) => `${path}: ${what}`);
}

test("files that the documentation links or names exist", () => {
  expect(pages.length).toBeGreaterThan(10);
  expect(pages.flatMap(missingFiles)).toEqual([]);
  const page = {
    path: "docs/design.md",
    text: "[a](gone.md) `tensor/src/scope.ts` `src/gone.ts` `ops/` `gone/` `main.ts`",
  };
  expect(missingFiles(page)).toEqual(["gone.md", "src/gone.ts", "gone/"].map((what) => `docs/design.md: ${what}`));
});
