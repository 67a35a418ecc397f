import type { Binding, Buffer, View } from "../../backend.ts";
import { memo } from "../../memo.ts";
import { sizeOf } from "../../shape.ts";
import type { Epilogue, EpilogueOperand } from "../epilogue.ts";
import { type Expr, postorder, replace, row } from "../expr.ts";
import type { Write } from "../kernel.ts";
import type { Laid } from "../laid.ts";

type Place = Pick<Binding, "buffer" | "offset">;

/** An elementwise program behind a product, on operands. */
export interface After {
  readonly laid: Laid;
  readonly operands: readonly Binding[];
}

/** The product's last act, and where its result goes. */
export interface LastAct {
  readonly epilogue: Epilogue;
  readonly output: Place;
}

/** What a program comes after. */
interface Before {
  /** The product's result [M, N]. */
  readonly c: View;
  readonly isWanted: (buffer: Buffer) => boolean;
  readonly blockOf: (buffer: Buffer) => unknown;
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
 * The program as an epilogue of the product that gives `c`; undefined where it is none: it must map c's elements to one tensor
 * alone that somebody still wants, and read besides only what has an element for each of c's, each column or all.
 */
export function lastActOf(after: After, before: Before): LastAct | undefined {
  const { laid, operands } = after;
  const { c, isWanted } = before;
  const write = onlyWrite(after, before);
  const output = write && operands[write.operand]!;
  const form = write && formOn(after, write, before);
  const may =
    sizeOf(laid.shape) === sizeOf(c.shape) &&
    laid.shape.at(-1) === c.shape.at(-1) &&
    output !== undefined &&
    (isAt(output, c) || !isWanted(c.buffer)) &&
    output.offset % ALIGNMENT === 0 &&
    form !== undefined &&
    !form.loads.some(({ operand }) => sharesBlock(operands[operand]!, [output, c], before));
  if (!may) return undefined;
  const bound = form.loads.map(({ operand, per }, i) => ({ name: `x${i}`, view: operands[operand]!, per }));
  return { epilogue: { name: form.name, expression: form.expression, operands: bound, channels: 1 }, output };
}

/** What an elementwise program writes, if somebody wants but one of that. */
function onlyWrite({ laid, operands }: After, { isWanted }: Before): Write | undefined {
  const [stage, ...others] = laid.program.stages;
  if (stage?.kind !== "store" || stage.perRow || others.length > 0) return undefined;
  const wanted = stage.writes.filter(({ operand }) => isWanted(operands[operand]!.buffer));
  return wanted.length === 1 ? wanted[0] : undefined;
}

const isAt = (a: Place, b: Place): boolean => a.buffer === b.buffer && a.offset === b.offset;

/** Whether something lies in a block with what is written, which may be bound once only. */
const sharesBlock = ({ buffer }: Place, written: readonly Place[], { blockOf }: Before): boolean =>
  written.some((own) => blockOf(own.buffer) === blockOf(buffer));

function formOn({ laid, operands }: After, write: Write, { c }: Before): Form | undefined {
  const sums = operands.flatMap((operand, i) => (isAt(operand, c) ? [i] : []));
  const known = memo(forms, laid, () => new Map<string, { form: Form | undefined }>());
  return memo(known, `${write.operand} ${sums}`, () => ({ form: formOf(laid, { ...write, sums }) })).form;
}

function formOf(laid: Laid, { expr, operand: output, sums }: Write & { sums: readonly number[] }): Form | undefined {
  const { program } = laid;
  const leaves = postorder([expr]).filter(({ args }) => args.length === 0);
  const read = leaves.filter(({ op }) => op === "load");
  const sum = read.filter(({ value }) => sums.includes(value));
  const others = read.filter(({ value }) => !sums.includes(value));
  const loads = others.flatMap(({ value, dtype }) => {
    const per = placeOf(laid, value);
    return per && dtype === "f32" ? [{ operand: value, per }] : [];
  });
  const may =
    leaves.every(({ op }) => op === "load" || op === "const") &&
    sum.length > 0 &&
    [output, ...sum.map(({ value }) => value)].every((own) => placeOf(laid, own) === "element") &&
    loads.length === others.length;
  if (!may) return undefined;
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
