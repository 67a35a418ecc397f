/** Side of the thumbnails that are compared. */
export const THUMBNAIL = 16;
/** Grey levels by which a cell of the same picture may differ, saved again or at another size. */
const LEVELS = 6;
/** Range of grey levels under which a picture is too plain to be known again. */
const PLAIN = 24;
/** Bits of a word of the hash by which candidates are looked up: of four words one must be the same. */
const WORD = 16;

/** Whether there is enough in a picture to know it again. */
const isTelling = (thumbnail: Uint8Array): boolean =>
  thumbnail.reduce((a, b) => Math.max(a, b)) - thumbnail.reduce((a, b) => Math.min(a, b)) >= PLAIN;

/** Which of 8 x 8 cells are brighter than the mean, as four words. */
function hashOf(thumbnail: Uint8Array): number[] {
  const cells = Array.from({ length: 64 }, (_, i) => {
    const at = (i >> 3) * 2 * THUMBNAIL + (i & 7) * 2;
    return thumbnail[at]! + thumbnail[at + 1]! + thumbnail[at + THUMBNAIL]! + thumbnail[at + THUMBNAIL + 1]!;
  });
  const mean = cells.reduce((a, b) => a + b) / 64;
  return Array.from({ length: 64 / WORD }, (_, word) =>
    cells.slice(word * WORD, (word + 1) * WORD).reduce((bits, cell, i) => bits | (Number(cell > mean) << i), 0),
  );
}

const areAlike = (a: Uint8Array, b: Uint8Array): boolean => a.every((level, i) => Math.abs(level - b[i]!) <= LEVELS);

/** Pictures of `some` that look like one of `others`, with the first such. */
export function* similarImages<T>(
  some: readonly T[],
  others: readonly T[],
  thumbnailOf: (image: T) => Uint8Array | undefined,
): Generator<readonly [T, T]> {
  const found = new Map<string, T[]>();
  const keys = (thumbnail: Uint8Array) => hashOf(thumbnail).map((word, i) => `${i} ${word}`);
  for (const other of others) {
    const thumbnail = thumbnailOf(other);
    if (!thumbnail || !isTelling(thumbnail)) continue;
    for (const key of keys(thumbnail)) {
      const list = found.get(key);
      if (list) list.push(other);
      else found.set(key, [other]);
    }
  }
  for (const one of some) {
    const thumbnail = thumbnailOf(one);
    if (!thumbnail || !isTelling(thumbnail)) continue;
    const candidates = keys(thumbnail).flatMap((key) => found.get(key) ?? []);
    const twin = candidates.find((other) => areAlike(thumbnail, thumbnailOf(other)!));
    if (twin !== undefined) yield [one, twin];
  }
}
