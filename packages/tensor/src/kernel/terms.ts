import { constant, type Expr } from "./expr.ts";

/** Whether a value is the same for all elements of a row. */
export type Still = (e: Expr) => boolean;

/** `still` · `element`: a factor for a whole row, and what differs from element to element (undefined: nothing does). */
export interface Term {
  readonly still: Expr;
  readonly element: Expr | undefined;
}

/** Still factors above and below a fraction bar, and what else there is. */
interface Product {
  readonly over: readonly Expr[];
  readonly under: readonly Expr[];
  readonly element: Expr | undefined;
}

/** What stands still in kernels whose operands do so along a row, or not. */
export function stillAlong(isOperandStill: (operand: number) => boolean): Still {
  const known = new Map<Expr, boolean>();
  const still: Still = (e) => {
    const found = known.get(e) ?? (e.op === "load" ? e.args.length === 0 && isOperandStill(e.value) : isMadeOfStill(e));
    known.set(e, found);
    return found;
  };
  const isMadeOfStill = (e: Expr): boolean => e.op !== "axis" && e.args.every(still);
  return still;
}

/**
 * Takes a value apart into terms, one for each factor that stands still: sums of them need only the elements' sums, many of
 * which are then the same. Factors that are equal above and below the bar cancel.
 */
export function termsOf(e: Expr, still: Still): Term[] {
  const merged: Product[] = [];
  for (const product of productsOf(e, still)) {
    const i = merged.findIndex((other) => isAlike(product, other) && product.element && other.element);
    if (i < 0) merged.push(product);
    else merged[i] = { ...product, element: merged[i]!.element!.add(product.element!) };
  }
  return merged.map(({ over, under, element }) => ({ still: fraction(over, under), element }));
}

/**
 * Sum of products, into which still factors are drawn. What a row's own number is added to, such as its mean, stays one
 * element: apart, both could be large where their difference is small.
 */
function productsOf(e: Expr, still: Still): Product[] {
  const [a, b] = e.args as [Expr, Expr];
  const [isStillA, isStillB] = e.args.map(still);
  const scaled = (products: Product[], factor: Product) => products.map((product) => times(factor, product));
  if (!isStillA && !isStillB) {
    if (e.op === "add") return [...productsOf(a, still), ...productsOf(b, still)];
    if (e.op === "sub") return [...productsOf(a, still), ...productsOf(b.neg(), still)];
  } else if (!isStillA || !isStillB) {
    if (e.op === "mul" && isStillA) return scaled(productsOf(b, still), productOf(a, still));
    if (e.op === "mul") return scaled(productsOf(a, still), productOf(b, still));
    if (e.op === "div" && isStillB) return scaled(productsOf(a, still), inverse(productOf(b, still)));
  }
  return [productOf(e, still)];
}

function productOf(e: Expr, still: Still): Product {
  const [a, b, c] = e.args as [Expr, Expr, Expr];
  if (e.op === "mul") return times(productOf(a, still), productOf(b, still));
  if (e.op === "div") return times(productOf(a, still), inverse(productOf(b, still)));
  if (still(e)) return { over: isConst(e, 1) ? [] : [e], under: [], element: undefined };
  if (e.op === "add" || e.op === "sub") {
    const [left, right] = [productOf(a, still), productOf(b, still)];
    if (isAlike(left, right) && left.element && right.element)
      return { ...left, element: left.element[e.op](right.element) };
  }
  if (e.op === "select" && isConst(b, 0)) {
    const product = productOf(c, still);
    if (product.element) return { ...product, element: a.select(b, product.element) };
  }
  if (e.op === "select" && isConst(c, 0)) {
    const product = productOf(b, still);
    if (product.element) return { ...product, element: a.select(product.element, c) };
  }
  return { over: [], under: [], element: e };
}

function times(a: Product, b: Product): Product {
  const [over, under] = [
    [...a.over, ...b.over],
    [...a.under, ...b.under],
  ];
  const element = a.element && b.element ? a.element.mul(b.element) : (a.element ?? b.element);
  return { over: without(over, under), under: without(under, over), element };
}

const inverse = ({ over, under, element }: Product): Product => ({
  over: under,
  under: over,
  element: element && constant(1).div(element),
});

/** A list but for what another one has as well, as often as that has it. */
function without(list: readonly Expr[], other: readonly Expr[]): Expr[] {
  const left = [...other];
  return list.filter((e) => {
    const i = left.indexOf(e);
    if (i >= 0) left.splice(i, 1);
    return i < 0;
  });
}

const isAlike = (a: Product, b: Product): boolean => isSame(a.over, b.over) && isSame(a.under, b.under);
const isSame = (a: readonly Expr[], b: readonly Expr[]): boolean => a.length === b.length && without(a, b).length === 0;
const isConst = (e: Expr, value: number): boolean => e.op === "const" && e.value === value;

const product = (factors: readonly Expr[]): Expr => factors.reduce((all, factor) => all.mul(factor), constant(1));
const fraction = (over: readonly Expr[], under: readonly Expr[]): Expr => product(over).div(product(under));
