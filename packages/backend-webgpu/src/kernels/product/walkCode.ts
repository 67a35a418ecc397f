import type { ProductSpec } from "./spec.ts";

// Threads go along k by fixed steps: the pair of indices follows by addition, since an integer division costs a GPU as much as
// dozens of multiplications.

const FROM: Record<ProductSpec["fastest"], string> = {
  inner: "let outer = k / u.inner; return Walk(outer, k - outer * u.inner);",
  outer: "let inner = k / u.outer; return Walk(k - inner * u.outer, inner);",
};

const ON: Record<ProductSpec["fastest"], string> = {
  inner: `let inner = walk.inner + by.inner;
  let over = inner >= u.inner;
  return Walk(walk.outer + by.outer + select(0, 1, over), select(inner, inner - u.inner, over));`,
  outer: `let outer = walk.outer + by.outer;
  let over = outer >= u.outer;
  return Walk(select(outer, outer - u.outer, over), walk.inner + by.inner + select(0, 1, over));`,
};

/** `walk_from` gives the indices of a flat k, `walk_on` those so many further. */
export const walkCode = (fastest: ProductSpec["fastest"]): string => `
struct Walk { outer: i32, inner: i32 }
fn walk_from(k: i32) -> Walk { ${FROM[fastest]} }
fn walk_on(walk: Walk, by: Walk) -> Walk {
  ${ON[fastest]}
}`;

/** The steps of a thread: to the neighbour in k, and to the next slice. */
export const stepLines = (depth: number): string => `
  let walk_one = walk_from(1);
  let walk_slice = walk_from(${depth});`;
