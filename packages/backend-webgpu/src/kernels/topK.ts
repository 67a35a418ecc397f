import type { Override, TopKAttrs, View } from "@dfine/tensor";
import type { GpuRuntime } from "../runtime.ts";
import { dispatchElements, elementKernel } from "./elements.ts";
import { ORDER_KEY } from "./orderKey.ts";
import { dispatchSelect } from "./topKSelect.ts";

/** Rows up to this long are ranked element by element: each counts what comes before it. */
const SHORT = 96;
/** Elements of a row that one selection takes, at least. */
const PART = 8192;

/**
 * A thread per candidate counts the candidates of its row that come before it, and puts itself in that place if it is one of
 * the first k. Candidates are all elements of the row, or those at `positions`.
 */
const rankKernel = (candidates: "all" | "chosen") =>
  elementKernel({
    name: candidates === "all" ? "topK.rank" : "topK.order",
    bindings: { x: "read i32", positions: "read i32", values: "write i32", indices: "write i32" },
    uniforms: { size: "i32", candidates: "i32", k: "i32" },
    body: `
${ORDER_KEY}
fn element(i: i32) {
  let row = i / u.candidates;
  let start = u.o_x + row * u.size;
  let list = u.o_positions + row * u.candidates;
  let mine = ${candidates === "all" ? "i - row * u.candidates" : "positions[u.o_positions + i]"};
  let value = x[start + mine];
  let key = order_key(value);
  var rank = 0;
  for (var c = 0; c < u.candidates; c++) {
    let other = ${candidates === "all" ? "c" : "positions[list + c]"};
    let other_key = order_key(x[start + other]);
    rank += select(0, 1, other_key > key || (other_key == key && other < mine));
  }
  if (rank < u.k) {
    values[u.o_values + row * u.k + rank] = value;
    indices[u.o_indices + row * u.k + rank] = mine;
  }
}`,
  });
const RANK = rankKernel("all");
const ORDER = rankKernel("chosen");

export const topKOverride = (runtime: GpuRuntime): Override<TopKAttrs> => ({
  select: ([x]) => (x!.shape[1]! <= SHORT ? "rank" : runtime.software ? "select" : "select together"),
  run({ variant, inputs: [x], outputs: [values, indices], attrs: { k } }) {
    const [rows, size] = x!.shape as [number, number];
    const rank = (kernel: typeof RANK, { positions, candidates }: { positions: View; candidates: number }): void =>
      dispatchElements(runtime, kernel, {
        views: { x: x!, positions, values: values!, indices: indices! },
        uniforms: { size, candidates, k },
        count: rows * candidates,
        visits: candidates,
      });
    if (variant === "rank") {
      rank(RANK, { positions: x!, candidates: size });
      return;
    }
    const together = variant === "select together";
    const part = Math.max(PART, 8 * k);
    const parts = size > 2 * part ? Math.ceil(size / part) : 1;
    runtime.withScratch(rows * k, "i32", (chosen) => {
      const all = { together, x: x!, rows, size, k };
      if (parts === 1) dispatchSelect(runtime, { ...all, parts, to: chosen });
      else
        runtime.withScratch(rows * parts * k, "i32", (best) => {
          dispatchSelect(runtime, { ...all, parts, to: best });
          dispatchSelect(runtime, { ...all, parts: 1, among: { positions: best, count: parts * k }, to: chosen });
        });
      rank(ORDER, { positions: chosen, candidates: k });
    });
  },
});
