import type { Dtype } from "@dfine/tensor";
import type { Local } from "../wasm/assembler.ts";
import { LANES } from "./nest.ts";
import { type Printing, type Site, VECTOR_BYTES } from "./site.ts";

export interface Element {
  readonly operand: number;
  readonly dtype: Dtype;
  readonly group: number;
}

/** How an operand moves from lane to lane; nothing varies without a vector axis. */
function lanesOf({ nest }: Printing, operand: number): "unit" | "still" | "stride" {
  return nest.vectorAxis === undefined ? "still" : nest.kernel.operands[operand]!.walk[nest.vectorAxis]!;
}

/** Bools are 0 and 1 in memory, masks in vectors. */
export function maskIfBool({ f }: Printing, dtype: Dtype): void {
  if (dtype === "bool") f.i32x4(0).op("i32x4.ne");
}

/** Pushes the vector of elements that an operand's walk points at. */
export function pushLoad(printing: Printing, { operand, dtype, group }: Element, site: Site): void {
  const { f } = printing;
  const pointer = site.pointers[operand]!;
  const walk = lanesOf(printing, operand);
  if (walk === "unit" && site.width === LANES) f.get(pointer).memory("v128.load", group * VECTOR_BYTES);
  else if (walk === "stride" && site.width === LANES) {
    const stride = printing.strides[operand]!.get(printing.nest.vectorAxis!)!;
    const [address, lanes] = [f.local("i32"), f.local("v128")];
    f.get(pointer).tee(address).memory("v128.load32_zero").set(lanes);
    for (let lane = 1; lane < LANES; lane++)
      f.get(address, stride).op("i32.add").tee(address).get(lanes).memoryLane("v128.load32_lane", lane).set(lanes);
    f.get(lanes).release(address, lanes);
  } else f.get(pointer).memory("v128.load32_splat");
  maskIfBool(printing, dtype);
}

/** Pushes elements of an indexed operand at the indices on the stack, brought into range. */
export function pushGather(printing: Printing, { operand, dtype }: Element, width: number): void {
  const { f } = printing;
  const { base, length } = printing.indexed[operand]!;
  const [offsets, lanes] = [f.local("v128"), f.local("v128")];
  const address = (lane: number) => f.get(offsets).lane("i32x4.extract_lane", lane).get(base).op("i32.add");
  f.get(length).i32(1).op("i32.sub", "i32x4.splat", "i32x4.min_s").i32x4(0).op("i32x4.max_s");
  f.i32(2).op("i32x4.shl").set(offsets);
  if (width === 1) address(0).memory("v128.load32_splat");
  else {
    address(0).memory("v128.load32_zero").set(lanes);
    for (let lane = 1; lane < LANES; lane++) address(lane).get(lanes).memoryLane("v128.load32_lane", lane).set(lanes);
    f.get(lanes);
  }
  f.release(offsets, lanes);
  maskIfBool(printing, dtype);
}

/** Stores a vector of elements where an operand's walk points. */
export function store(
  printing: Printing,
  { operand, dtype, group }: Element,
  { site, value }: { site: Site; value: Local },
): void {
  const { f } = printing;
  const pointer = site.pointers[operand]!;
  const walk = lanesOf(printing, operand);
  if (dtype === "bool") f.get(value).i32x4(1).op("v128.and").set(value);
  if (site.width === 1 || walk === "still") f.get(pointer, value).memoryLane("v128.store32_lane", 0);
  else if (walk === "unit") f.get(pointer, value).memory("v128.store", group * VECTOR_BYTES);
  else {
    const stride = printing.strides[operand]!.get(printing.nest.vectorAxis!)!;
    const address = f.local("i32");
    f.get(pointer).set(address);
    for (let lane = 0; lane < LANES; lane++) {
      f.get(address, value).memoryLane("v128.store32_lane", lane);
      if (lane < LANES - 1) f.get(address, stride).op("i32.add").set(address);
    }
    f.release(address);
  }
}

/** Adds lanes of `value`, in order, to the elements of an indexed operand; an index outside it is dropped. */
export function scatter(
  printing: Printing,
  { operand, dtype }: Element,
  { site, index, value }: { site: Site; index: Local; value: Local },
): void {
  const { f } = printing;
  const { base, length } = printing.indexed[operand]!;
  const [at, address] = [f.local("i32"), f.local("i32")];
  for (let lane = 0; lane < site.width; lane++) {
    f.get(index).lane("i32x4.extract_lane", lane).tee(at).get(length).op("i32.lt_u");
    f.if(() => {
      f.get(at).i32(2).op("i32.shl").get(base).op("i32.add").tee(address).get(address);
      if (dtype === "f32")
        f.memory("f32.load").get(value).lane("f32x4.extract_lane", lane).op("f32.add").memory("f32.store");
      else f.memory("i32.load").get(value).lane("i32x4.extract_lane", lane).op("i32.add").memory("i32.store");
    });
  }
  f.release(at, address);
}
