import type { Assembler, Local } from "./assembler.ts";

/** Loads vectors that lie side by side. */
export function loadRow(f: Assembler, vectors: readonly Local[], address: Local): void {
  for (const [j, vector] of vectors.entries())
    f.get(address)
      .memory("v128.load", j * 16)
      .set(vector);
}

/** Loads vectors of every second element, side by side; the last load ends one element after what it takes. */
export function loadEven(f: Assembler, vectors: readonly Local[], address: Local): void {
  const load = (offset: number) => f.get(address).memory("v128.load", offset);
  for (const [j, vector] of vectors.entries()) {
    load(j * 32);
    load(j * 32 + 16);
    f.shuffle(0, 2, 4, 6).set(vector);
  }
}

/** Stores vectors side by side, the last one first: so neighbours merge with one store less. */
export function storeRow(f: Assembler, vectors: readonly Local[], address: Local, offset = 0): void {
  for (let j = vectors.length - 1; j >= 0; j--) f.get(address, vectors[j]!).memory("v128.store", offset + j * 16);
}

/** Loads four vectors, transposes them, and stores them `pitch` bytes apart. */
export function transpose4(
  f: Assembler,
  load: (i: number) => void,
  store: (i: number, push: () => void) => void,
): void {
  const v = f.locals("v128", 4);
  const t = f.locals("v128", 4);
  v.forEach((vector, i) => {
    load(i);
    f.set(vector);
  });
  f.get(v[0], v[1]).shuffle(0, 4, 1, 5).set(t[0]);
  f.get(v[0], v[1]).shuffle(2, 6, 3, 7).set(t[1]);
  f.get(v[2], v[3]).shuffle(0, 4, 1, 5).set(t[2]);
  f.get(v[2], v[3]).shuffle(2, 6, 3, 7).set(t[3]);
  for (let i = 0; i < 4; i++) {
    const [low, high] = i < 2 ? [t[0], t[2]] : [t[1], t[3]];
    store(i, () => (i % 2 ? f.get(low, high).shuffle(2, 3, 6, 7) : f.get(low, high).shuffle(0, 1, 4, 5)));
  }
  f.release(...v, ...t);
}
