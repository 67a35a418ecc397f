/** 32-bit words, signed or not. */
export type WordList = readonly number[] | Int32Array;

/** Writes `values` from word `at` on. @returns the word after them */
export function put(words: Int32Array, at: number, values: WordList): number {
  // `set` is slow for lists.
  if (values instanceof Int32Array) words.set(values, at);
  else for (let i = 0; i < values.length; i++) words[at + i] = values[i]!;
  return at + values.length;
}
