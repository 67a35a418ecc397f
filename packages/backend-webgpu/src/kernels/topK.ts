import type { OpAttrs, Override, View } from "@dfine/tensor/kernel";
import { grid } from "../print/grid.ts";
import { dispatchElements, elementKernel } from "./elements.ts";
import type { GpuRuntime } from "./runtime.ts";
import { SELECT_ALONE, SELECT_TOGETHER } from "./topKSelect.ts";

/** Comparisons, all elements of a row with all, up to which rows are ranked as a whole. */
const FEW = 2 ** 22;
/** Rows up to this long are, however many there are. */
const SHORT = 96;
/** Elements of a row that one selection takes, at least. */
const PART = 8192;

/**
 * A thread per four candidates counts, for each, the candidates of its row that come before it, and puts it in that place if
 * it is one of the first k. Candidates are all elements of the row, or those at `positions`.
 */
const rankKernel = (candidates: "all" | "chosen") =>
  elementKernel({
    name: candidates === "all" ? "topK.rank" : "topK.order",
    bindings: { x: "read i32", positions: "read i32", values: "write i32", indices: "write i32" },
    body: `
fn position_of(list: i32, c: i32) -> i32 { return ${candidates === "all" ? "c" : "positions[list + c]"}; }
fn element(i: i32) {
  let count = u.candidates;
  let fours = (count + 3) / 4;
  let row = i / fours;
  let start = u.o_x + row * u.size;
  let list = u.o_positions + row * count;
  let first = (i - row * fours) * 4;
  var mine: vec4<i32>;
  var bits: vec4<i32>;
  var keys: vec4<u32>;
  for (var c = 0; c < 4; c++) {
    mine[c] = position_of(list, min(first + c, count - 1));
    bits[c] = x[start + mine[c]];
    keys[c] = order_key(bits[c]);
  }
  var ranks = vec4<i32>();
  for (var c = 0; c < count; c++) {
    let other = position_of(list, c);
    let key = vec4(order_key(x[start + other]));
    ranks += select(vec4(0), vec4(1), (key > keys) | ((key == keys) & (vec4(other) < mine)));
  }
  for (var c = 0; c < min(4, count - first); c++) {
    if (ranks[c] < u.k) {
      values[u.o_values + row * u.k + ranks[c]] = bits[c];
      indices[u.o_indices + row * u.k + ranks[c]] = mine[c];
    }
  }
}`,
  });
const RANK = rankKernel("all");
const ORDER = rankKernel("chosen");

export const topKOverride = (runtime: GpuRuntime): Override<OpAttrs["topK"]> => ({
  select: ([x]) => {
    const [rows, size] = x!.shape as [number, number];
    if (size <= SHORT || rows * size * size <= FEW) return "rank";
    return runtime.tuning.barriers ? "select together" : "select";
  },
  run({ variant, inputs: [x], outputs: [values, indices], attrs: { k } }) {
    const [rows, size] = x!.shape as [number, number];
    const rank = (kernel: typeof RANK, { positions, candidates }: { positions: View; candidates: number }): void =>
      dispatchElements(runtime, kernel, {
        views: { x: x!, positions, values: values!, indices: indices! },
        uniforms: { size, candidates, k },
        count: rows * Math.ceil(candidates / 4),
        visits: 4 * candidates,
      });
    if (variant === "rank") {
      rank(RANK, { positions: x!, candidates: size });
      return;
    }
    const select = (to: View, parts: number, among?: { positions: View; count: number }): void => {
      const count = among?.count ?? size;
      runtime.dispatch(variant === "select" ? SELECT_ALONE : SELECT_TOGETHER, {
        views: { x: x!, positions: among?.positions ?? x!, chosen: to },
        uniforms: { size, count, among: among ? 1 : 0, parts, units: rows * parts, k },
        workgroups: grid(rows * parts),
        work: 6 * rows * count,
      });
    };
    const part = Math.max(PART, 8 * k);
    const parts = size > 2 * part ? Math.ceil(size / part) : 1;
    runtime.withScratch(rows * k, "i32", (chosen) => {
      if (parts === 1) select(chosen, parts);
      else
        runtime.withScratch(rows * parts * k, "i32", (best) => {
          select(best, parts);
          select(chosen, 1, { positions: best, count: parts * k });
        });
      rank(ORDER, { positions: chosen, candidates: k });
    });
  },
});
