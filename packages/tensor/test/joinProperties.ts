import {
  add,
  type Backend,
  backward,
  batchNorm,
  concat,
  conv2d,
  copyInto,
  defineMap,
  defineUpdate,
  fillInto,
  full,
  layerNorm,
  linear,
  mul,
  packedGradients,
  Random,
  readTensors,
  referenceBackend,
  relu,
  Scope,
  sigmoid,
  softmax,
  sub,
  sum,
  type Tensor,
  tensor,
} from "@dfine/tensor";
import type { Expr } from "@dfine/tensor/kernel";
import fc from "fast-check";
import { expect, it } from "vitest";

const ROWS = 80;
/** A whole tile of the CPU's products, and a part of one. */
const COLUMNS = 24;
/** [ROWS, COLUMNS], a window of each with a neighbour's elements around it. */
const windowOf = (x: Tensor): Tensor =>
  x.slice([
    { start: 1, end: ROWS - 1 },
    { start: 0, end: COLUMNS },
  ]);
const addTo = defineUpdate("addTo", ([a], [b]) => [a!.add(b!)], { takes: ["a", "b"], cases: () => [] });

interface State {
  /** All [ROWS, COLUMNS]. */
  readonly tensors: Tensor[];
  readonly vectors: Tensor[];
  readonly weight: Tensor;
}
type Step = (state: State, pick: (list: readonly Tensor[]) => Tensor) => void;

/** What is done to tensors chosen at random. */
const STEPS: Readonly<Record<string, Step>> = {
  add: ({ tensors }, pick) => tensors.push(add(pick(tensors), pick(tensors))),
  biased: ({ tensors, vectors }, pick) => tensors.push(relu(add(pick(tensors), pick(vectors)))),
  sigmoid: ({ tensors }, pick) => tensors.push(sigmoid(pick(tensors))),
  softmax: ({ tensors }, pick) => tensors.push(softmax(pick(tensors))),
  norm: ({ tensors, vectors }, pick) =>
    tensors.push(layerNorm(add(pick(tensors), pick(tensors)), { weight: pick(vectors), bias: pick(vectors) })),
  linear: ({ tensors, vectors, weight }, pick) => tensors.push(linear(pick(tensors), weight, pick(vectors))),
  residual: ({ tensors, weight }, pick) => {
    const x = pick(tensors);
    const product = linear(x, weight);
    tensors.push(add(product, x));
    product.dispose();
  },
  rows: ({ tensors, vectors }, pick) => vectors.push(sum(pick(tensors), 0)),
  columns: ({ tensors }, pick) => tensors.push(mul(pick(tensors), sum(pick(tensors), 1, { keepDim: true }))),
  copy: ({ tensors }, pick) => copyInto(pick(tensors), pick(tensors)),
  window: ({ tensors }, pick) => copyInto(windowOf(pick(tensors)), windowOf(pick(tensors))),
  shifted: ({ tensors }, pick) => {
    const x = pick(tensors);
    copyInto(x.slice([{ start: 1, end: ROWS }]), x.slice([{ start: 0, end: ROWS - 1 }]));
  },
  update: ({ tensors }, pick) => {
    const [a, b] = [pick(tensors), pick(tensors)];
    if (a.storage !== b.storage) addTo([a], [b]);
  },
  halves: ({ tensors }, pick) => {
    const half = (x: Tensor, start: number): Tensor => x.slice([{}, { start, end: start + COLUMNS / 2 }]);
    tensors.push(concat([half(pick(tensors), 0), half(pick(tensors), COLUMNS / 2)], 1));
  },
  fill: ({ tensors }, pick) => fillInto(windowOf(pick(tensors)), 0.5),
  vector: ({ vectors }, pick) => {
    const [a, b] = [pick(vectors), pick(vectors)];
    if (a.storage !== b.storage) addTo([a], [b]);
  },
  free: ({ tensors }, pick) => {
    if (tensors.length < 3) return;
    const gone = pick(tensors);
    tensors.splice(tensors.indexOf(gone), 1);
    gone.dispose();
  },
  learn: ({ tensors, vectors, weight }, pick) => {
    const leaves = [weight, pick(vectors)].map((t) => {
      const leaf = t.detach();
      leaf.requiresGrad = true;
      return leaf;
    });
    packedGradients(leaves);
    const [w, b] = leaves as [Tensor, Tensor];
    const hidden = relu(linear(pick(tensors), w, b));
    backward(sum(mul(softmax(add(linear(hidden, w, b), hidden)), pick(tensors))));
    vectors.push(b.grad!);
    addTo([weight], [mul(w.grad!, 0.01)]);
  },
  convolved: ({ tensors, weight }, pick) => {
    const x = pick(tensors).reshape([1, COLUMNS, 8, 10]).detach();
    x.requiresGrad = true;
    const y = conv2d(relu(x), weight.reshape([COLUMNS, COLUMNS, 1, 1]));
    backward(sum(mul(add(y, x), pick(tensors).reshape(x.shape))));
    tensors.push(x.grad!.reshape([ROWS, COLUMNS]));
  },
};

const NAMES = Object.keys(STEPS);

async function run(backend: Backend, steps: readonly (readonly [name: string, choice: number])[]): Promise<number[][]> {
  const random = new Random(7);
  const drawn = (shape: readonly number[]) =>
    tensor(
      Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => random.normal() / 2),
      shape,
      { backend },
    );
  using scope = new Scope("steps", { backend });
  const reading = scope.run(() => {
    const state: State = {
      tensors: [drawn([ROWS, COLUMNS]), drawn([ROWS, COLUMNS])],
      vectors: [drawn([COLUMNS]), drawn([COLUMNS])],
      weight: drawn([COLUMNS, COLUMNS]),
    };
    for (const [name, choice] of steps) {
      let left = choice;
      STEPS[name]!(state, (list) => {
        const picked = list[left % list.length]!;
        left = Math.floor(left / list.length) + 1;
        return picked;
      });
    }
    return { results: readTensors([...state.tensors, ...state.vectors, state.weight]) };
  });
  return (await reading.results).map((values) => Array.from(values));
}

interface Operands {
  /** [40, 96]. */
  readonly plain: Tensor;
  /** Columns lie where others have rows. */
  readonly turned: Tensor;
  /** Starts at the second element of a buffer. */
  readonly shifted: Tensor;
  /** [40, 96] and one element more in memory. */
  readonly spaced: Tensor;
  /** [40, 1] */
  readonly column: Tensor;
}
const images = (x: Tensor): Tensor => x.reshape([4, 10, 8, 12]);
const normed = (x: Tensor, activation?: "relu"): Tensor => {
  const [weight, bias] = [0.9, 0.2].map((value) => full([10], value, { backend: x.backend })) as [Tensor, Tensor];
  return batchNorm(x, { weight, bias, ...(activation ? { activation } : {}) }).output;
};
const long = defineMap("long", (a: Expr) =>
  Array.from({ length: 16 }).reduce<Expr>((value) => value.mul(value).sub(0.5), a),
);
const centred = (x: Tensor): Tensor => {
  const [weight, bias] = [0.9, 0.2].map((value) => full([96], value, { backend: x.backend })) as [Tensor, Tensor];
  return layerNorm(x, { weight, bias });
};

/** Sums beside what lies otherwise in memory than what is summed. */
const SUMS: Readonly<Record<string, (operands: Operands) => Tensor>> = {
  "rows of what is added from columns": ({ plain, turned }) => softmax(add(plain, turned)),
  "rows of columns and of what is added": ({ plain, turned }) => softmax(add(turned, plain)),
  "rows of what is added from odd places": ({ plain, shifted }) => softmax(add(plain, shifted)),
  "rows of what is added from rows apart": ({ plain, spaced }) => centred(add(plain, spaced)),
  "rows to which columns are added": ({ plain, turned }) => add(centred(plain), turned),
  "rows to which odd places are added": ({ plain, shifted }) => add(softmax(plain), shifted),
  "columns to which rows are added": ({ plain, turned }) => add(centred(turned), plain),
  "odd places to which rows are added": ({ plain, shifted }) => add(softmax(shifted), plain),
  "rows of a long formula": ({ plain }) => centred(long(plain)),
  "rows of products": ({ plain, turned }) => centred(mul(plain, turned.contiguous())),
  "rows of rows that columns were added to": ({ plain, turned }) => softmax(add(centred(plain), turned)),
  "images to which one number per row is added": ({ plain, column }) =>
    normed(add(images(plain), column.slice([{ end: 8 }]))),
  "images to which turned ones are added": ({ plain, turned }) =>
    add(normed(images(plain)), turned.reshape([4, 10, 12, 8]).transpose(2, 3)),
  "images of which turned ones are taken": ({ plain }) => {
    const x = images(plain);
    return normed(sub(x, plain.reshape([4, 10, 12, 8]).transpose(2, 3)), "relu");
  },
  "images and what is left of each row": ({ plain, column }) =>
    mul(normed(images(plain), "relu"), column.slice([{ end: 8 }])),
};

async function sums(backend: Backend, make: (operands: Operands) => Tensor): Promise<number[]> {
  const random = new Random(3);
  using scope = new Scope("sums", { backend });
  const reading = scope.run(() => {
    const drawn = (length: number): Tensor =>
      tensor(
        Float32Array.from({ length }, () => random.normal() * 3),
        [length],
        { backend },
      );
    const shape = [40, 96];
    const length = 40 * 96;
    const operands = {
      plain: drawn(length).reshape(shape),
      turned: drawn(length).reshape([96, 40]).transpose(0, 1),
      shifted: drawn(length + 1)
        .slice([{ start: 1 }])
        .reshape(shape),
      spaced: drawn(40 * 97)
        .reshape([40, 97])
        .slice([{}, { end: 96 }]),
      column: drawn(40).reshape([40, 1]),
    };
    return { results: readTensors([make(operands)]) };
  });
  return Array.from((await reading.results)[0]!);
}

const sequences = fc.array(fc.tuple(fc.constantFrom(...NAMES), fc.nat(10_000)), { minLength: 2, maxLength: 14 });

const reference = referenceBackend({ floatBits: 32 });

/** A backend on which kernels wait to be joined, and one that is the same but for that. */
export interface Joining {
  readonly waiting: Backend;
  readonly alone: Backend;
}

/** Random sequences of ops, of which many are joined. */
export function joinProperties(kinds: readonly [Joining, ...Joining[]], runs: number): void {
  it("what waits and is joined gives what each kernel gives alone", { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(sequences, fc.nat(kinds.length - 1), async (steps, kind) => {
        const { waiting, alone } = kinds[kind]!;
        const [joined, each] = [await run(waiting, steps), await run(alone, steps)];
        expect(joined).toEqual(each);
      }),
      { numRuns: runs },
    );
  });

  it.each(Object.entries(SUMS))("joined or not, sums are the same of %s", async (_, make) => {
    for (const { waiting, alone } of kinds) expect(await sums(waiting, make)).toEqual(await sums(alone, make));
  });

  it("and what the reference gives", { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(sequences, async (steps) => {
        const [got, expected] = [await run(kinds[0].waiting, steps), await run(reference, steps)];
        for (const [i, values] of expected.entries())
          for (const [k, value] of values.entries())
            expect(Math.abs(got[i]![k]! - value)).toBeLessThan(1e-3 * Math.max(1, ...values.map(Math.abs)));
      }),
      { numRuns: Math.ceil(runs / 3) },
    );
  });
}
