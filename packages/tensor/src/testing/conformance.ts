import type { Backend } from "../backend.ts";
import type { TypedArray } from "../dtype.ts";
import { memo } from "../memo.ts";
import type { OpCase, Refusal } from "../ops/cases.ts";
import { type RegisteredOp, registeredOps } from "../ops/registry.ts";
import { Random } from "../random.ts";
import { referenceBackend } from "../reference/referenceBackend.ts";
import { scope } from "../scope.ts";
import { liveStorages } from "../storage.ts";
import { assertClose, assertSame, roundingTolerance } from "./compare.ts";
import { type Drawn, drawInputs, LAYOUTS, placeInputs, withFloats, withSpecials } from "./drawnInputs.ts";
import { type Evaluation, evaluate, weighted } from "./evaluate.ts";
import { guardedBackend } from "./guardedBackend.ts";

/** One test. */
export interface Check {
  readonly name: string;
  /** Rejects, saying what differs, when the backend does not conform. */
  run(): Promise<void>;
}

const MOVE = 1e-6;
const MOVES = 6;
const exact = referenceBackend({ floatBits: 64 });
const rounded = referenceBackend({ floatBits: 32 });

/** A check for each of the trials of every registered op: `run` must leave nothing behind. */
function checksOf<Trial extends { readonly name: string }>(
  trialsOf: (op: RegisteredOp) => readonly Trial[],
  run: (op: RegisteredOp, trial: Trial) => Promise<void>,
  verb = "",
): Check[] {
  return registeredOps().flatMap((op) =>
    trialsOf(op).map((trial) => ({
      name: `${op.name} ${verb}${trial.name}`,
      run: async () => {
        const before = liveStorages();
        await run(op, trial);
        if (liveStorages() !== before)
          throw new Error(`${op.name}: ${liveStorages() - before} storages were not freed`);
      },
    })),
  );
}

/** Tests that an op refuses what it must, with the same error class as on any backend. */
function checkRefusal(backend: Backend, op: RegisteredOp, { name, inputs, run, error }: Refusal): void {
  const drawn = drawInputs(op.name + name, inputs);
  const thrown = scope("refusal", () => caught(() => run(...placeInputs(backend, drawn, "contiguous"))));
  if (!(thrown instanceof Error) || thrown.constructor !== error)
    throw new Error(`${op.name} must throw ${error.name}, but: ${thrown ?? "nothing was thrown"}`);
}

function caught(body: () => unknown): unknown {
  try {
    body();
  } catch (error) {
    return error;
  }
  return undefined;
}

/**
 * Tests for every registered op on a backend: values and gradients against the float64 reference in several memory
 * layouts, hand-written kernels and their fallback alike, special values, guard words, poisoned memory, leaks, and
 * that wrong calls are refused. On a float64 backend gradients are also held against finite differences.
 */
export function conformance(backend: Backend): Check[] {
  const guarded = guardedBackend(backend);
  const computes = async (op: RegisteredOp, opCase: OpCase): Promise<void> => {
    await checkValues(guarded, op, opCase);
    if (opCase.special) await checkSpecials(guarded, op, opCase);
    if (backend.floatBits === 64 && opCase.differentiable !== false) await checkDifferences(op, opCase);
    await guarded.verify();
  };
  const refuses = async (op: RegisteredOp, refusal: Refusal) => checkRefusal(backend, op, refusal);
  return [...checksOf((op) => op.cases(), computes), ...checksOf((op) => op.refusals(), refuses, "refuses ")];
}

/** Tests that two backends give the same bits for every op, such as one thread and two. */
export function bitEquality(first: Backend, second: Backend): Check[] {
  return checksOf(
    (op) => op.cases(),
    async (op, opCase) => {
      const inputs = drawInputs(op.name + opCase.name, opCase.inputs);
      const a = await evaluate(first, { opCase, inputs }, { gradients: true });
      const b = await evaluate(second, { opCase, inputs }, { gradients: true });
      for (const [i, array] of a.values.entries()) assertSame(`output ${i}`, b.values[i]!, array);
      for (const [i, array] of a.gradients.entries()) assertSame(`gradient ${i}`, b.gradients[i]!, array);
    },
  );
}

/** What a case gives on the reference backends. */
interface Expectation {
  readonly inputs: readonly (Drawn | number)[];
  readonly expected: Evaluation;
  readonly single: Evaluation;
  /** For inputs that are moved a little. */
  readonly swings: readonly Evaluation[];
}

/** By op and case: the same for all backends. */
const expectations = new Map<string, Promise<Expectation>>();

async function expectationOf(op: RegisteredOp, opCase: OpCase): Promise<Expectation> {
  const inputs = drawInputs(op.name + opCase.name, opCase.inputs);
  const expected = await evaluate(exact, { opCase, inputs }, { gradients: true });
  const single = await evaluate(rounded, { opCase, inputs }, { gradients: true });
  const moved = Array.from({ length: MOVES }, (_, i) => moveInputs(inputs, i));
  const swings: Evaluation[] = [];
  for (const move of moved) swings.push(await evaluate(exact, { opCase, inputs: move }, { gradients: true }));
  return { inputs, expected, single, swings };
}

async function checkValues(backend: Backend, op: RegisteredOp, opCase: OpCase): Promise<void> {
  const known = memo(expectations, `${op.name} ${opCase.name}`, () => expectationOf(op, opCase));
  const { inputs, expected, single, swings } = await known;
  const toleranceOf = (array: TypedArray, pick: (e: Evaluation) => TypedArray) =>
    array instanceof Int32Array
      ? () => 0
      : roundingTolerance(array, { moved: swings.map(pick), step: MOVE, rounded: pick(single) });
  const hasOverride = op.name in backend.overrides;
  for (const disabled of hasOverride ? [false, true] : [false]) {
    for (const layout of LAYOUTS) {
      const without = disabled ? [op.name] : [];
      const actual = await evaluate(backend, { opCase, inputs }, { layout, gradients: true, without });
      const where = `${op.name}${disabled ? " (fallback)" : ""}, ${layout} inputs`;
      for (const kind of ["values", "gradients"] as const) {
        for (const [i, array] of expected[kind].entries()) {
          const tolerance = toleranceOf(array, (e) => e[kind][i]!);
          assertClose(`${where}: ${kind} ${i}`, actual[kind][i]!, array, { tolerance });
        }
      }
    }
  }
}

/** Every f32 value moved by a relative ±MOVE. */
function moveInputs(inputs: readonly (Drawn | number)[], round: number): (Drawn | number)[] {
  const random = new Random(round + 101);
  return withFloats(inputs, (values) => values.map((v) => v * (1 + (random.uniform() < 0.5 ? MOVE : -MOVE))));
}

async function checkSpecials(backend: Backend, op: RegisteredOp, opCase: OpCase): Promise<void> {
  const drawn = drawInputs(op.name + opCase.name, opCase.inputs);
  const inputs = withSpecials(drawn, false);
  const reference = backend.floatBits === 64 ? exact : rounded;
  const expected = await evaluate(reference, { opCase, inputs });
  const flushed = await evaluate(reference, { opCase, inputs: withSpecials(drawn, true) });
  const actual = await evaluate(backend, { opCase, inputs });
  for (const [i, array] of expected.values.entries()) {
    assertClose(`${op.name}, special values: output ${i}`, actual.values[i]!, array, {
      tolerance: (k) => (array instanceof Int32Array ? 0 : 1e-5 * Math.abs(array[k]!) + 1e-6),
      orElse: flushed.values[i]!,
    });
  }
}

const STEP = 1e-6;

/** Directional derivatives: ⟨gradient, u⟩ against central differences along u. */
async function checkDifferences(op: RegisteredOp, opCase: OpCase): Promise<void> {
  const inputs = drawInputs(op.name + opCase.name, opCase.inputs);
  const { values, gradients } = await evaluate(exact, { opCase, inputs }, { gradients: true });
  for (let round = 0; round < 3; round++) {
    const random = new Random(round + 31);
    const directions = inputs.map((input) =>
      typeof input === "number" || input.dtype !== "f32" ? undefined : input.values.map(() => random.uniform() * 2 - 1),
    );
    const along = async (step: number): Promise<number> => {
      const moved = withFloats(inputs, (values, i) => values.map((v, k) => v + step * directions[i]![k]!));
      return weighted((await evaluate(exact, { opCase, inputs: moved })).values, values);
    };
    const measured = ((await along(STEP)) - (await along(-STEP))) / (2 * STEP);
    let predicted = 0;
    let scale = 0;
    directions
      .filter((direction) => direction !== undefined)
      .forEach((direction, i) => {
        direction.forEach((u, k) => {
          predicted += u * gradients[i]![k]!;
          scale += Math.abs(u * gradients[i]![k]!);
        });
      });
    // Central differences lose half of the digits of float64 to cancellation.
    if (!(Math.abs(measured - predicted) <= 1e-6 * Math.max(scale, 1)))
      throw new Error(
        `${op.name}: the gradient along a direction is ${predicted}, finite differences give ${measured}`,
      );
  }
}
