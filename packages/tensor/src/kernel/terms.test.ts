import { expect, it } from "vitest";
import { axisIndex, constant, type Expr, load, param, row } from "./expr.ts";
import { stillAlong, type Term, termsOf } from "./terms.ts";

const [x, y, perRow] = [load(0), load(1), load(2)];
const still = stillAlong((operand) => operand === 2);
const term = (factor: Expr | number, element: Expr | undefined): Term => ({
  still: typeof factor === "number" ? constant(factor) : factor,
  element,
});

it.each<[string, Expr, Term[]]>([
  ["a factor of a row is drawn out", x.mul(perRow).mul(y), [term(perRow, x.mul(y))]],
  ["so is what divides by it", x.div(perRow), [term(constant(1).div(perRow), x)]],
  ["equal factors cancel", x.mul(perRow).div(perRow), [term(1, x)]],
  ["as often as they meet", x.mul(perRow).mul(perRow).div(perRow), [term(perRow, x)]],
  ["terms with one factor are one", x.mul(perRow).add(y.mul(perRow)), [term(perRow, x.add(y))]],
  ["others stay apart", x.mul(perRow).add(y.mul(param(0))), [term(perRow, x), term(param(0), y)]],
  ["a factor reaches all terms", x.mul(row(0)).add(y).mul(perRow), [term(perRow.mul(row(0)), x), term(perRow, y)]],
  ["a difference from a row's number stays whole", x.sub(perRow).mul(param(0)), [term(param(0), x.sub(perRow))]],
  ["what is sometimes 0 too", x.lt(0).select(0, y.mul(perRow)), [term(perRow, x.lt(0).select(0, y))]],
  ["a value per row has no element", perRow.mul(2), [term(perRow.mul(2), undefined)]],
])("%s", (_, e, terms) => {
  expect(termsOf(e, still)).toEqual(terms);
});

it("a position and an element at a computed index differ from element to element", () => {
  expect([axisIndex(0), axisIndex(0).cast("f32").mul(perRow), perRow.add(row(0))].map(still)).toEqual([
    false,
    false,
    true,
  ]);
});
