import {
  add,
  type Backend,
  backward,
  conv2d,
  copyInto,
  defineUpdate,
  fillInto,
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
  sum,
  type Tensor,
  tensor,
} from "@dfine/tensor";
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

  it("and what the reference gives", { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(sequences, async (steps) => {
        const [got, expected] = [await run(kinds[0].waiting, steps), await run(reference, steps)];
        for (const [i, values] of expected.entries())
          for (const [k, value] of values.entries())
            expect(Math.abs(got[i]![k]! - value)).toBeLessThan(1e-3 * Math.max(1, ...values.map(Math.abs)));
      }),
      { numRuns: Math.ceil(runs / 2) },
    );
  });
}
