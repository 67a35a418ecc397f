/** A kind of file that is told by how it begins: what the first `LOOKED_AT` bytes match, one character each, and what to say. */
export type FileKind<Said extends readonly string[]> = readonly [start: RegExp, ...said: Said];

const LOOKED_AT = 1024;

/** The first of the kinds that a file may be of. */
export function fileKind<Kind extends FileKind<string[]>>(kinds: readonly Kind[], bytes: Uint8Array): Kind | undefined {
  const text = String.fromCharCode(...bytes.subarray(0, LOOKED_AT));
  return kinds.find(([start]) => start.test(text));
}
