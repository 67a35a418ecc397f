import { type Document, isAlias, isNode, isScalar, LineCounter, type Node, parseDocument, visit } from "yaml";

export { stringify } from "yaml";

/** Text that is not YAML of settings. The message says the line and what is wrong there. */
export class YamlError extends Error {
  override readonly name = "YamlError";
}

/** What a YAML text says, and where. */
export interface Yaml {
  readonly value: unknown;
  /** Line of the deepest part of `path` that the text has, from 1. */
  lineOf(path: readonly PropertyKey[]): number;
}

/** Settings are written by hand: whatever is longer is another kind of file. */
const LONGEST = 1_000_000;
/** Aliases may multiply what they stand for so often; more is an attack. */
const MOST_ALIASES = 100;

/**
 * Reads YAML as people write it for settings. What could take memory or time out of all proportion to the text is
 * refused: long texts, aliases that multiply, keys that are lists or mappings, nesting without end.
 * @throws YamlError
 */
export function readYaml(text: string): Yaml {
  if (text.length > LONGEST)
    throw new YamlError(`${text.length} characters are more than the ${LONGEST} that settings may have`);
  const lines = new LineCounter();
  try {
    // The library compares all keys with each other, and draws every error: quadratic in hostile texts.
    const document = parseDocument(text, {
      lineCounter: lines,
      prettyErrors: false,
      uniqueKeys: false,
      logLevel: "error",
    });
    const [broken] = document.errors;
    if (broken) throw new YamlError(`line ${lines.linePos(broken.pos[0]).line}: ${broken.message.split("\n")[0]}`);
    checkKeys(document, lines);
    return { value: document.toJS({ maxAliasCount: MOST_ALIASES }), lineOf: (path) => lineOf(document, lines, path) };
  } catch (error) {
    if (error instanceof YamlError) throw error;
    // RangeError: the stack ended. ReferenceError: an alias too many, or to nothing.
    if (error instanceof RangeError) throw new YamlError("it is nested too deeply");
    if (error instanceof ReferenceError) throw new YamlError(error.message);
    throw error;
  }
}

/** Keys are plain values, each once. @throws YamlError */
function checkKeys(document: Document, lines: LineCounter): void {
  const at = (node: unknown) => lines.linePos((node as Node).range?.[0] ?? 0).line;
  visit(document, {
    Map(_, { items }) {
      const seen = new Set<unknown>();
      for (const { key } of items) {
        if (!isScalar(key)) {
          const what = isAlias(key) ? "an alias" : "a list or mapping";
          throw new YamlError(`line ${isNode(key) ? at(key) : 1}: ${what} stands as a key`);
        }
        if (seen.has(key.value)) throw new YamlError(`line ${at(key)}: the key ${String(key.value)} is there twice`);
        seen.add(key.value);
      }
    },
  });
}

function lineOf(document: Document, lines: LineCounter, path: readonly PropertyKey[]): number {
  for (let depth = path.length; depth > 0; depth--) {
    const node = document.getIn(path.slice(0, depth), true);
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
  }
  return 1;
}
