import type { View } from "../backend.ts";
import { broadcastShapes, broadcastStrides } from "../shape.ts";
import type { Epilogue } from "./epilogue.ts";

/** A batch of matrices: strides in elements, the batch's along the product's `axes`. */
export interface Matrices {
  readonly view: Pick<View, "buffer" | "offset">;
  readonly row: number;
  readonly column: number;
  readonly batch: readonly number[];
}

/** Products A [m, k] · B [k, n], one for each entry of the batch axes. */
export interface MatmulProblem {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly axes: readonly number[];
  readonly a: Matrices;
  readonly b: Matrices;
}

/** c = a · b, then the epilogue, matrices with batch axes: a and b may have any strides, c is contiguous. */
export interface Multiplication {
  readonly a: View;
  readonly b: View;
  readonly c: Pick<View, "buffer" | "offset">;
  /** Rows of c are its channels. */
  readonly epilogue?: Epilogue | undefined;
}

const batchShape = (view: View): readonly number[] => view.shape.slice(0, -2);

function matrices(view: View, axes: readonly number[]): Matrices {
  const [row, column] = [view.strides.at(-2)!, view.strides.at(-1)!];
  return { view, row, column, batch: broadcastStrides(batchShape(view), view.strides.slice(0, -2), axes) };
}

/**
 * a [..., M, K] · b [..., K, N] in as few products as may be: batch axes of size 1 are dropped, those that both walk evenly
 * become one, and an inner one that shares b becomes rows. Entries, and rows of C in them, keep their order.
 */
export function matmulProblem(a: View, b: View): MatmulProblem {
  const all = broadcastShapes("matmul", [batchShape(a), batchShape(b)]);
  const [left, right] = [matrices(a, all), matrices(b, all)];
  let [m, row] = [a.shape.at(-2)!, left.row];
  const axes: number[] = [];
  const strides: [number, number][] = [];
  for (const [i, size] of all.entries()) {
    if (size === 1) continue;
    const [sa, sb] = [left.batch[i]!, right.batch[i]!];
    const last = strides.at(-1);
    if (last && last[0] === sa * size && last[1] === sb * size) {
      axes.push(axes.pop()! * size);
      strides[strides.length - 1] = [sa, sb];
    } else {
      axes.push(size);
      strides.push([sa, sb]);
    }
  }
  const inner = strides.at(-1);
  if (inner && inner[1] === 0 && (m === 1 || inner[0] === row * m)) {
    if (m === 1) row = inner[0];
    m *= axes.pop()!;
    strides.pop();
  }
  return {
    ...{ m, n: b.shape.at(-1)!, k: a.shape.at(-1)!, axes },
    a: { ...left, row, batch: strides.map(([s]) => s) },
    b: { ...right, batch: strides.map(([, s]) => s) },
  };
}
