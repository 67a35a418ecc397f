import { row } from "@dfine/tensor/kernel";
import { printExpression } from "../print/printNode.ts";
import type { Assembler, Local } from "../wasm/assembler.ts";
import { loadRow, storeRow } from "../wasm/vectors.ts";
import type { Rows } from "./attentionPanels.ts";

/** Vectors of a row at a time: by twos, as two merge. */
const VECTORS = 4;
/** Elements of a row at a time. */
export const STEP = VECTORS * 4;
const STEP_BYTES = STEP * 4;

/** A power of a score and the row's largest. */
const POWER = row(0).sub(row(1)).exp();

export interface ScoreRows {
  /** Address of rows of products, `pitch` bytes apart, in which there is room for whole steps. */
  readonly products: Local;
  readonly pitch: Local;
  readonly count: Local;
  /** Bytes of a row before its first element that counts, whole steps, and behind its last. */
  readonly from: Local;
  readonly keyBytes: Local;
  /** The factor of products, in all lanes. */
  readonly scale: Local;
  /** Address of the first row that is added, and bytes from one to the next. */
  readonly bias: { readonly start: Local; readonly pitch: Local } | undefined;
  /** Address of the list of the rows' sums. */
  readonly sums: Local;
  /** Address of rows like `products`, of gradients of the weights: they become those of the products. */
  readonly grads?: Local;
}

/**
 * Sets `from` to the bytes of keys before the first step that any row of a bias lets through, or before the last step: such keys
 * have weights of 0. Denoising queries come first, and ordinary ones see none of them.
 */
export function skipBlocked(
  f: Assembler,
  { bias: { start, pitch, count }, keyBytes, from }: { bias: Rows; keyBytes: Local; from: Local },
): void {
  const names = f.locals("i32", 3);
  const [row, line, last] = names;
  const vectors = f.locals("v128", VECTORS);
  const [infinity, found] = f.locals("v128", 2);
  f.f32x4(Number.NEGATIVE_INFINITY).set(infinity).i32(0).set(from);
  f.get(keyBytes).i32(STEP_BYTES).op("i32.sub").set(last);
  f.loop((again) => {
    f.get(start, from).op("i32.add").set(line);
    f.get(from, last).op("i32.lt_s");
    f.if(() => {
      f.f32x4(0).set(found);
      f.for(row, { from: 0, to: count }, () => {
        loadRow(f, vectors, line);
        for (const vector of vectors) f.get(vector, infinity).op("f32x4.ne").get(found).op("v128.or").set(found);
        f.get(line, pitch).op("i32.add").set(line);
      });
      f.get(found).op("v128.any_true", "i32.eqz");
      f.if(() => f.get(from).i32(STEP_BYTES).op("i32.add").set(from).br(again));
    });
  });
  f.release(...names, ...vectors, infinity, found);
}

/**
 * Makes of products their powers e^(product · scale + bias − the row's largest), which are the weights before they are divided
 * by the row's sum. A row with a NaN has a sum of NaN. Elements past a row's last become 0.
 */
export function powerRows(f: Assembler, rows: ScoreRows): void {
  const { products, pitch, count, from, keyBytes, scale, bias, sums, grads } = rows;
  const names = f.locals("i32", 9);
  const [index, line, biasLine, gradLine, at, x, y, whole, padded] = names;
  const own = f.local("i32");
  const [values, others, folded, mixed] = [0, 1, 2, 3].map(() => f.locals("v128", VECTORS)) as Local[][] as [
    Local[],
    Local[],
    Local[],
    Local[],
  ];
  const [largest, sum, mean, factor] = f.locals("v128", 4);

  const steps = (to: Local, body: () => void): void => {
    f.for(at, { from, to, step: STEP_BYTES }, () => {
      f.get(line, at).op("i32.add").set(x);
      body();
    });
  };
  const set = (vectors: readonly Local[], value: number): void => {
    for (const vector of vectors) f.f32x4(value).set(vector);
  };
  const scaled = (value: Local, added: Local): void => {
    if (bias) f.madd(added, value, scale).get(added).set(value);
    else f.get(value, scale).op("f32x4.mul").set(value);
  };
  const foldLargest = (): void => {
    for (const [j, value] of values.entries()) f.get(folded[j]!, value).op("f32x4.pmax").set(folded[j]!);
  };
  // Only what is stored side by side merges.
  const join = (vectors: readonly Local[], op: "f32x4.pmax" | "f32x4.add", into: Local): void => {
    storeRow(f, vectors, own);
    loadRow(f, vectors, own);
    f.get(vectors[0]!, vectors[1]!).op(op).get(vectors[2]!, vectors[3]!).op(op, op).set(into);
    f.get(into, into, into).shuffle(2, 3, 0, 1).op(op).set(into);
    f.get(into, into, into).shuffle(1, 0, 3, 2).op(op).set(into);
  };

  const findLargest = (): void => {
    f.for(at, { from: whole, to: keyBytes, step: 4 }, () => {
      f.get(line, at).op("i32.add").tee(x).memory("v128.load32_splat").set(values[0]!);
      if (bias) f.get(biasLine, at).op("i32.add").memory("v128.load32_splat").set(others[0]!);
      scaled(values[0]!, others[0]!);
      f.get(x, values[0]!).memoryLane("v128.store32_lane", 0);
    });
    f.for(at, { from: keyBytes, to: padded, step: 4 }, () => {
      f.get(line, at).op("i32.add").f32(Number.NEGATIVE_INFINITY).memory("f32.store");
      if (grads) f.get(gradLine, at).op("i32.add").f32(0).memory("f32.store");
    });
    set(folded, Number.NEGATIVE_INFINITY);
    steps(whole, () => {
      loadRow(f, values, x);
      if (bias) {
        f.get(biasLine, at).op("i32.add").set(y);
        loadRow(f, others, y);
      }
      for (const [j, value] of values.entries()) scaled(value, others[j]!);
      foldLargest();
      storeRow(f, values, x);
    });
    f.get(whole, padded).op("i32.lt_s");
    f.if(() => {
      f.get(line, whole).op("i32.add").set(x);
      loadRow(f, values, x);
      foldLargest();
    });
    join(folded, "f32x4.pmax", largest);
  };
  const raise = (): void => {
    set(folded, 0);
    if (grads) set(mixed, 0);
    steps(padded, () => {
      loadRow(f, values, x);
      for (const value of values) {
        printExpression(f, POWER, [value, largest]);
        f.set(value);
      }
      for (const [j, value] of values.entries()) f.get(folded[j]!, value).op("f32x4.add").set(folded[j]!);
      if (grads) {
        f.get(gradLine, at).op("i32.add").set(y);
        loadRow(f, others, y);
        for (const [j, value] of values.entries()) f.madd(mixed[j]!, value, others[j]!);
      }
      storeRow(f, values, x);
    });
    join(folded, "f32x4.add", sum);
    f.get(sums, index).i32(2).op("i32.shl", "i32.add").get(sum).memoryLane("v128.store32_lane", 0);
  };
  // With weights p and their gradients g: p · (g − Σ p · g) · scale.
  const differentiate = (): void => {
    join(mixed, "f32x4.add", mean);
    f.get(mean, sum).op("f32x4.div").set(mean).get(scale, sum).op("f32x4.div").set(factor);
    steps(padded, () => {
      f.get(gradLine, at).op("i32.add").set(y);
      loadRow(f, values, x);
      loadRow(f, others, y);
      for (const [j, other] of others.entries())
        f.get(other, mean).op("f32x4.sub").get(values[j]!, factor).op("f32x4.mul", "f32x4.mul").set(other);
      storeRow(f, others, y);
    });
  };

  f.own().set(own);
  f.get(keyBytes).i32(-STEP_BYTES).op("i32.and").set(whole);
  f.get(keyBytes)
    .i32(STEP_BYTES - 1)
    .op("i32.add")
    .i32(-STEP_BYTES)
    .op("i32.and")
    .set(padded);
  f.get(products).set(line);
  if (bias) f.get(bias.start).set(biasLine);
  if (grads) f.get(grads).set(gradLine);
  f.for(index, { from: 0, to: count }, () => {
    findLargest();
    raise();
    if (grads) differentiate();
    f.get(line, pitch).op("i32.add").set(line);
    if (bias) f.get(biasLine, bias.pitch).op("i32.add").set(biasLine);
    if (grads) f.get(gradLine, pitch).op("i32.add").set(gradLine);
  });
  f.release(...names, own, ...values, ...others, ...folded, ...mixed, largest, sum, mean, factor);
}
