/** What went wrong with a text on its way here; `mended` where that can be undone. */
export interface BrokenText {
  readonly is: string;
  readonly mended?: string;
}

/** Bytes of windows-1252, by the characters that they stand for. */
const BYTES: ReadonlyMap<string, number> = new Map(
  Array.from({ length: 256 }, (_, byte) => [new TextDecoder("windows-1252").decode(Uint8Array.of(byte)), byte]),
);
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
const INVISIBLE = /[\u0000-\u001f\u007f\u200b\u2060\ufeff]/g;

/** The text whose UTF-8 bytes were read as windows-1252 or Latin-1; undefined where it is no such text. */
function fromMojibake(text: string): string | undefined {
  const bytes = Array.from(text, (char) => BYTES.get(char) ?? (char <= "\u00ff" ? char.charCodeAt(0) : -1));
  if (bytes.includes(-1) || bytes.every((byte) => byte < 0x80)) return undefined;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(bytes));
  } catch {
    return undefined;
  }
}

/** What is broken in a name; undefined where nothing is. */
export function brokenText(text: string): BrokenText | undefined {
  if (text.includes("\ufffd")) return { is: "has lost characters (U+FFFD stands in their place)" };
  const visible = text.replace(INVISIBLE, "").trim();
  if (visible !== text && visible !== "")
    return { is: "begins or ends with blanks, or has characters that nobody sees", mended: visible };
  const mended = fromMojibake(text);
  return mended === undefined ? undefined : { is: `is "${mended}" in UTF-8, read as Latin-1`, mended };
}
