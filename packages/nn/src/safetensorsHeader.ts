/** A safetensors file that cannot be read or written; the message names the file and what to do. */
export class SafetensorsError extends Error {
  override readonly name = "SafetensorsError";
}

/** One tensor as the header describes it; `dtype` and sizes are not judged yet. */
export interface HeaderEntry {
  dtype: string;
  shape: number[];
  /** First and past-the-end byte, counted from the end of the header. */
  begin: number;
  end: number;
}

export interface Header {
  metadata: Map<string, string>;
  entries: Map<string, HeaderEntry>;
}

const SPACE = /[ \t\n\r]*/y;
const INTEGER = /0|[1-9][0-9]{0,15}/y;

/**
 * Reader of the header's JSON. The header has one fixed form, so a reader of just that form is as short as a general
 * one, cannot recurse, keeps the order of names and sees repeated ones (which JSON.parse drops silently).
 */
class HeaderReader {
  private position = 0;
  private readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  /** Reads `{"key": value, …}`, giving each key to `value`, which reads what follows the colon. */
  object(what: string, value: (key: string) => void): void {
    const seen = new Set<string>();
    this.list("{}", () => {
      const key = this.string();
      if (seen.has(key)) this.fail(`${JSON.stringify(key)} occurs twice in ${what}`);
      seen.add(key);
      this.expect(":");
      value(key);
    });
  }

  integers(): number[] {
    const out: number[] = [];
    this.list("[]", () => out.push(this.integer()));
    return out;
  }

  string(): string {
    this.expect('"');
    const start = this.position - 1;
    for (;;) {
      const code = this.text.charCodeAt(this.position++);
      if (Number.isNaN(code)) this.fail("a string has no end");
      if (code === 0x5c) this.position++;
      if (code === 0x22) break;
    }
    try {
      return JSON.parse(this.text.slice(start, this.position)) as string;
    } catch {
      return this.fail("a string is not valid JSON");
    }
  }

  end(): void {
    this.skip(SPACE);
    if (this.position < this.text.length) this.fail("there is text after the closing brace");
  }

  fail(problem: string): never {
    throw new SafetensorsError(`${problem} (character ${this.position} of the header)`);
  }

  /** Items between two brackets, with commas between them. */
  private list(brackets: "{}" | "[]", item: () => void): void {
    this.expect(brackets[0]!);
    if (this.accept(brackets[1]!)) return;
    do item();
    while (this.accept(","));
    this.expect(brackets[1]!);
  }

  private integer(): number {
    this.skip(SPACE);
    const start = this.position;
    this.skip(INTEGER);
    const value = Number(this.text.slice(start, this.position));
    if (start === this.position || !Number.isSafeInteger(value)) this.fail("a size is not a non-negative integer");
    return value;
  }

  private skip(pattern: RegExp): void {
    pattern.lastIndex = this.position;
    if (pattern.test(this.text)) this.position = pattern.lastIndex;
  }

  private accept(character: string): boolean {
    this.skip(SPACE);
    if (this.text[this.position] !== character) return false;
    this.position++;
    return true;
  }

  private expect(character: string): void {
    if (!this.accept(character)) this.fail(`${JSON.stringify(character)} is missing`);
  }
}

function readEntry(reader: HeaderReader, name: string): HeaderEntry {
  let dtype: string | undefined;
  let shape: number[] | undefined;
  let offsets: number[] | undefined;
  reader.object(`tensor ${JSON.stringify(name)}`, (key) => {
    if (key === "dtype") dtype = reader.string();
    else if (key === "shape") shape = reader.integers();
    else if (key === "data_offsets") offsets = reader.integers();
    else reader.fail(`tensor ${JSON.stringify(name)} has an unknown field ${JSON.stringify(key)}`);
  });
  const [begin, end] = offsets ?? [];
  if (dtype === undefined || shape === undefined || begin === undefined || end === undefined || offsets?.length !== 2)
    return reader.fail(`tensor ${JSON.stringify(name)} needs dtype, shape and two data_offsets`);
  return { dtype, shape, begin, end };
}

/** Parses the JSON header of a safetensors file. @throws SafetensorsError where it is not of the fixed form. */
export function parseHeader(text: string): Header {
  const reader = new HeaderReader(text);
  const header: Header = { metadata: new Map(), entries: new Map() };
  reader.object("the header", (name) => {
    if (name === "__metadata__")
      reader.object("the metadata", (key) => {
        header.metadata.set(key, reader.string());
      });
    else header.entries.set(name, readEntry(reader, name));
  });
  reader.end();
  return header;
}
