import { stageExpressions } from "@dfine/tensor/kernel";
import { Assembler, type AssemblerOptions, type Local } from "../wasm/assembler.ts";
import type { Words } from "./launchWords.ts";
import { vectorLoop } from "./loops.ts";
import type { Nest } from "./nest.ts";
import type { Printing, Site } from "./site.ts";
import { printStages } from "./stages.ts";
import { Values } from "./values.ts";

/** Prints a kernel as a module whose units are rows, or blocks of rows. */
export function printKernel(nest: Nest, words: Words, options: AssemblerOptions): Uint8Array {
  const f = new Assembler(options);
  const printing: Printing = {
    f,
    nest,
    words,
    index: nest.kernel.axes.map(() => f.local("i32")),
    strides: words.operands.map(({ stride }) => new Map([...stride].map(([axis, word]) => [axis, f.argLocal(word)]))),
    indexed: words.operands.map(({ base, length }) =>
      length === undefined ? undefined : { base: f.argLocal(base), length: f.argLocal(length) },
    ),
    rows: [],
  };
  const values = new Values(printing);
  const roots = nest.stages.flatMap(stageExpressions);
  const bases = words.operands.map(({ base }) => f.argLocal(base));
  values.scope(() => {
    values.enter(roots, { depth: 0, width: 1, groups: 1, pointers: bases });
    printRows(printing, bases, (pointers, block) => {
      const site: Site = { depth: 1, width: 1, groups: 1, pointers };
      if (nest.lanes === "reduce") values.stages(() => printStages(printing, values, site));
      else
        values.scope(() => {
          values.enter(roots, site);
          printElements(printing, { values, site, block });
        });
    });
  });
  return f.finish();
}

/** The elements of one block of the vector axis: all stages for one vector, then for the next. */
function printElements(
  printing: Printing,
  { values, site, block }: { values: Values; site: Site; block: Local | undefined },
): void {
  const { f, nest, words } = printing;
  const stages = (inner: Site): void => values.stages(() => printStages(printing, values, inner));
  if (block === undefined || nest.vectorAxis === undefined) {
    stages({ ...site, depth: 2 });
    return;
  }
  const [from, to, size] = [f.local("i32"), f.local("i32"), f.local("i32")];
  f.arg(words.block!).set(to);
  f.get(block, to).op("i32.mul").tee(from).get(to).op("i32.add").set(to);
  f.arg(words.size.get(nest.vectorAxis)!).set(size);
  f.get(to, size, to, size).op("i32.lt_s").select().set(to);
  const used = new Set(nest.kernel.operands.keys());
  vectorLoop(printing, { axis: nest.vectorAxis, site, used, from, to, groups: nest.passes[0]?.groups ?? 1 }, stages);
  f.release(from, to, size);
}

/** Counts through the units [begin, end), keeping the address of every operand's row. */
function printRows(
  { f, nest, words, index }: Printing,
  bases: readonly Local[],
  body: (pointers: readonly Local[], block: Local | undefined) => void,
): void {
  const block = words.block === undefined ? undefined : f.local("i32");
  const counters = [...nest.rowAxes.map((axis) => index[axis]!), ...(block ? [block] : [])];
  const sizes = words.counters.map((word) => f.argLocal(word));
  const moving = words.operands.flatMap(({ counters: own }, k) => (own ? [{ k, own, pointer: f.local("i32") }] : []));
  const unit = f.local("i32");

  f.get(f.begin).set(unit);
  for (let m = counters.length - 1; m >= 0; m--) {
    f.get(unit);
    if (m > 0) f.get(sizes[m]!).op("i32.rem_u");
    f.set(counters[m]!);
    if (m > 0) f.get(unit, sizes[m]!).op("i32.div_u").set(unit);
  }
  const pointers = [...bases];
  for (const { k, own, pointer } of moving) {
    pointers[k] = pointer;
    f.get(bases[k]!);
    for (const [m, { stride }] of own.entries()) f.get(counters[m]!).arg(stride).op("i32.mul", "i32.add");
    f.set(pointer);
  }

  const advance = (m: number): void => {
    const step = (): void => {
      for (const { own, pointer } of moving) f.get(pointer).arg(own[m]!.advance).op("i32.add").set(pointer);
    };
    f.get(counters[m]!).i32(1).op("i32.add").set(counters[m]!);
    if (m === 0) {
      step();
      return;
    }
    f.get(counters[m]!, sizes[m]!).op("i32.lt_s");
    f.if(step, () => {
      f.i32(0).set(counters[m]!);
      advance(m - 1);
    });
  };
  f.for(unit, { from: f.begin, to: f.end }, () => {
    body(pointers, block);
    if (counters.length > 0) advance(counters.length - 1);
  });
}
