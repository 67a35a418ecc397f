import type { Kernel } from "@dfine/tensor/kernel";

/** Index expression of each operand's element at some depth of the nest. */
export type Pointers = readonly string[];

/** Lines that step the pointers along `axis`, whose index is in i‹axis›, and the names of the new ones. */
export function stepPointers(kernel: Kernel, axis: number, pointers: Pointers) {
  const lines: string[] = [];
  const next = kernel.operands.map((operand, k) => {
    const walk = operand.walk[axis]!;
    if (walk === "still") return pointers[k]!;
    const name = `p${k}_${axis}`;
    lines.push(`let ${name} = ${pointers[k]} + ${walk === "unit" ? `i${axis}` : `i${axis} * s${k}_${axis}`};`);
    return name;
  });
  return { lines, pointers: next };
}

/**
 * Lines that split the flat index `name` into indices i‹axis› of `axes`, the last one fastest. The axis `quad` counts in
 * fours: its first element is in g‹axis›.
 */
export function splitIndex(name: string, axes: readonly number[], quad?: number): string[] {
  if (axes.length === 0) return [];
  const scaled = (axis: number, index: string): string =>
    axis === quad ? `let g${axis} = ${index} * 4i;` : `let i${axis} = ${index};`;
  if (axes.length === 1) return [scaled(axes[0]!, name)];
  const lines: string[] = [];
  let rest = `u32(${name})`;
  for (const axis of axes.slice(1).reverse()) {
    const size = axis === quad ? `((u32(n${axis}) + 3u) >> 2u)` : `u32(n${axis})`;
    lines.push(`let f${axis} = ${rest};`, `let d${axis} = f${axis} / ${size};`);
    lines.push(scaled(axis, `i32(f${axis} - d${axis} * ${size})`));
    rest = `d${axis}`;
  }
  lines.push(`let i${axes[0]} = i32(${rest});`);
  return lines;
}

export const indent = (lines: readonly string[], levels: number): string[] =>
  lines.map((line) => "  ".repeat(levels) + line);
