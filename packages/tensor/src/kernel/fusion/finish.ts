import type { Binding, Buffer, View } from "../../backend.ts";
import { memo } from "../../memo.ts";
import { sizeOf } from "../../shape.ts";
import type { Epilogue, EpilogueOperand } from "../epilogue.ts";
import { type Expr, postorder, replace, row } from "../expr.ts";
import type { Laid } from "../laid.ts";

/** An elementwise program behind a product, on operands. */
export interface After {
  readonly laid: Laid;
  readonly operands: readonly Binding[];
}

/** The product's last act, and where its result goes. */
export interface Finish {
  readonly epilogue: Epilogue;
  readonly output: Pick<View, "buffer" | "offset">;
}

/** What a kernel knows of a program as an epilogue, whatever it is bound to. */
interface Form extends Pick<Epilogue, "name" | "expression"> {
  readonly loads: readonly { readonly operand: number; readonly per: EpilogueOperand["per"] }[];
}
const forms = new WeakMap<Laid, Map<string, { readonly form: Form | undefined }>>();
let count = 0;

/** Elements to multiples of which kernels may align what they write. */
const ALIGNMENT = 4;

/**
 * The program as an epilogue of the product that gives `c` [M, N]; undefined where it is none: it must map c's elements to one
 * tensor alone that somebody still wants, and read besides only what has an element for each of c's, each column or all.
 */
export function finishOf(
  after: After,
  { c, isWanted, blockOf }: { c: View; isWanted: (buffer: Buffer) => boolean; blockOf: (buffer: Buffer) => unknown },
): Finish | undefined {
  const { laid, operands } = after;
  const [stage, ...others] = laid.program.stages;
  if (stage?.kind !== "store" || stage.perRow || others.length > 0 || sizeOf(laid.shape) !== sizeOf(c.shape))
    return undefined;
  const wanted = stage.writes.filter(({ operand }) => isWanted(operands[operand]!.buffer));
  const [write] = wanted;
  if (!write || wanted.length > 1 || laid.shape.at(-1) !== c.shape.at(-1)) return undefined;
  const output = operands[write.operand]!;
  const isC = ({ buffer, offset }: Binding): boolean => buffer === c.buffer && offset === c.offset;
  if (isWanted(c.buffer) && !isC(output)) return undefined;
  const sums = operands.flatMap((operand, i) => (isC(operand) ? [i] : []));
  const known = memo(forms, laid, () => new Map<string, { form: Form | undefined }>());
  const { form } = memo(known, `${write.operand} ${sums}`, () => ({ form: formOf(laid, { ...write, sums }) }));
  if (!form || output.offset % ALIGNMENT !== 0) return undefined;
  // What is written may be bound once only.
  if (
    form.loads.some(({ operand }) =>
      [output.buffer, c.buffer].some((own) => blockOf(own) === blockOf(operands[operand]!.buffer)),
    )
  )
    return undefined;
  const bound = form.loads.map(({ operand, per }, i) => ({ name: `x${i}`, view: operands[operand]!, per }));
  return { epilogue: { name: form.name, expression: form.expression, operands: bound, channels: 1 }, output };
}

function formOf(
  laid: Laid,
  { expr, operand: output, sums }: { expr: Expr; operand: number; sums: readonly number[] },
): Form | undefined {
  const { program } = laid;
  const leaves = postorder([expr]).filter(({ args }) => args.length === 0);
  if (leaves.some(({ op }) => op !== "load" && op !== "const")) return undefined;
  const read = leaves.filter(({ op }) => op === "load");
  const [sum, others] = [0, 1].map((k) => read.filter(({ value }) => sums.includes(value) === (k === 0))) as [
    Expr[],
    Expr[],
  ];
  if (sum.length === 0 || [output, ...sum.map(({ value }) => value)].some((own) => placeOf(laid, own) !== "element"))
    return undefined;
  const loads = others.flatMap(({ value, dtype }) => {
    const per = placeOf(laid, value);
    return per && dtype === "f32" ? [{ operand: value, per }] : [];
  });
  if (loads.length < others.length) return undefined;
  const known = new Map([
    ...sum.map((e): [Expr, Expr] => [e, row(0)]),
    ...others.map((e, i): [Expr, Expr] => [e, row(1 + i)]),
  ]);
  return { name: `, ${program.name} ${count++}`, expression: replace(expr, known), loads };
}

/** What an operand has elements for, side by side. */
function placeOf({ shape, strides }: Laid, operand: number): EpilogueOperand["per"] | undefined {
  const own = strides[operand]!;
  const last = shape.length - 1;
  const isStill = (axis: number): boolean => shape[axis] === 1 || own[axis] === 0;
  let dense = 1;
  let isDense = true;
  for (let axis = last; axis >= 0; axis--) {
    isDense &&= shape[axis] === 1 || own[axis] === dense;
    dense *= shape[axis]!;
  }
  if (isDense) return "element";
  if (!shape.every((_, axis) => axis === last || isStill(axis))) return undefined;
  if (isStill(last)) return "all";
  return own[last] === 1 ? "column" : undefined;
}
