import type { Assembler, Local } from "./assembler.ts";

/** Loads vectors that lie side by side. */
export function loadRow(f: Assembler, vectors: readonly Local[], address: Local): void {
  for (const [j, vector] of vectors.entries())
    f.get(address)
      .memory("v128.load", j * 16)
      .set(vector);
}

/** Stores vectors side by side, the last one first: so neighbours merge with one store less. */
export function storeRow(f: Assembler, vectors: readonly Local[], address: Local, offset = 0): void {
  for (let j = vectors.length - 1; j >= 0; j--) f.get(address, vectors[j]!).memory("v128.store", offset + j * 16);
}
