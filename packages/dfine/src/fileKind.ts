/** A kind of file that is told by how it begins. */
export interface FileKind {
  /** Matches the first `LOOKED_AT` bytes, one character each. */
  readonly start: RegExp;
}

const LOOKED_AT = 1024;

/** The first of the kinds that a file may be of. */
export function fileKind<T extends FileKind>(kinds: readonly T[], bytes: Uint8Array): T | undefined {
  const text = String.fromCharCode(...bytes.subarray(0, LOOKED_AT));
  return kinds.find(({ start }) => start.test(text));
}
