import type { Backend, RegisteredOp } from "@dfine/tensor";

const KINDS: Record<RegisteredOp["kind"], string> = {
  map: "elementwise",
  row: "row",
  op: "structured",
  update: "in place",
};

const HEAD = `# What each backend does with each op

Written by \`npm run support\`; a test holds it against the backends.

Every op runs on every backend and is held to one conformance suite: values and gradients, memory layouts, special values.
"own" is a hand-written kernel for the shapes that it takes (its fallback serves the others and is tested as well), "generated"
the kernel printed from the op's expressions, or an op made of such kernels. Gradients of ops without kernels of their own
are derived from the same expressions and printed likewise.
`;

/** docs/support.md: a row per registered op, a column per backend. */
export function supportTable(ops: readonly RegisteredOp[], backends: readonly Backend[]): string {
  const rows = ops
    .filter(({ cases }) => cases().length > 0)
    .sort((a, b) => a.kind.localeCompare(b.kind) || a.name.localeCompare(b.name))
    .map(({ name, kind, cases }) => {
      const cells = backends.map(({ overrides }) => (Object.hasOwn(overrides, name) ? "own" : "generated"));
      return `| ${[`\`${name}\``, KINDS[kind], ...cells, cases().length].join(" | ")} |`;
    });
  const columns = ["op", "kind", ...backends.map(({ name }) => name), "conformance cases"];
  return [HEAD, `| ${columns.join(" | ")} |`, `|${" --- |".repeat(columns.length)}`, ...rows, ""].join("\n");
}
