import { STRIP } from "@dfine/tensor/kernel";
import type { Shader } from "../commands/shader.ts";
import { shaderText } from "../print/library.ts";

/** Sums of one dispatch at most: what fits into its uniforms. */
export const MOST_SUMS = 62;
/** Words of uniforms for each. */
export const WORDS = 8;
/** Bits of a word that tell a sum's source; those above tell its target. */
export const SOURCE_BITS = 8;
export const FOLD_WORDS = MOST_SUMS * WORDS + 1;

/** Threads of a workgroup; in software, where barriers are slow, none share a sum. */
export const foldThreads = (barriers: boolean): number => (barriers ? 256 : 64);

/** From this many parts on threads share a column. */
const SHARED_PARTS = 64;
/** Neighbouring columns of a workgroup whose threads share them: what they read of a part lies together. */
const SHARED_COLUMNS = 16;

/** Threads that share a column's sum. It follows from sizes alone, and with it the order of the sum. */
export function lanesFor({ columns, parts }: { columns: number; parts: number }, barriers: boolean): number {
  if (!barriers || parts < SHARED_PARTS) return 1;
  return foldThreads(barriers) / Math.min(SHARED_COLUMNS, 2 ** Math.ceil(Math.log2(columns)));
}

/**
 * Of `sources` buffers into `targets` others: each workgroup finds the sum that it works at, and in that its columns. Lanes take every
 * lanes-th part, in strips whose sums carry along what rounding loses, and are added in a fixed tree.
 */
export function foldShader({ sources, targets }: { sources: number; targets: number }, barriers: boolean): Shader {
  const threads = foldThreads(barriers);
  const stores = Array.from({ length: targets }, (_, i) => `case ${i}: { to${i}[at] = value; }`).join(" ");
  const loads = Array.from({ length: sources }, (_, i) => `case ${i}: { return from${i}[at]; }`).join(" ");
  const tree = `
  sums[local] = total;
  workgroupBarrier();
  for (var half = lanes / 2; half >= 1; half /= 2) {
    if (lane < half) { sums[local] += sums[i32(local) + half * width]; }
    workgroupBarrier();
  }
  total = sums[local];`;
  const code = `
${barriers ? `var<workgroup> sums: array<f32, ${threads}>;` : ""}
fn load(source: i32, at: i32) -> f32 { switch source { ${loads} default: { return 0.0; } } }
fn store(into: i32, at: i32, value: f32) { switch into { ${stores} default: {} } }
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let group = i32(id.y * groups.x + id.x);
  var sum = 0;
  while (sum + 1 < u.count && group >= u.sums[2 * sum + 3].w) { sum++; }
  let place = u.sums[2 * sum];
  let size = u.sums[2 * sum + 1];
  let source = place.x & ${2 ** SOURCE_BITS - 1};
  let columns = place.w;
  let parts = size.x;
  let lanes = size.z;
  let width = ${threads} / lanes;
  let lane = i32(local) / width;
  let column = (group - size.w) * width + i32(local) % width;
  var total = 0.0;
  var lost = 0.0;
  if (column < columns) {
    for (var strip = lane; strip < parts; strip += ${STRIP} * lanes) {
      let end = min(strip + ${STRIP} * lanes, parts);
      var part_sum = 0.0;
      for (var part = strip; part < end; part += lanes) { part_sum += load(source, place.y + column + part * size.y); }
      let next = total + part_sum;
      lost += select((part_sum - next) + total, (total - next) + part_sum, abs(total) >= abs(part_sum));
      total = next;
    }
    total = select(total, total + lost, is_finite(lost));
  }
  ${barriers ? tree : ""}
  if (lane == 0 && column < columns) { store(place.x >> ${SOURCE_BITS}u, place.z + column, total); }
}`;
  const bindings = [
    ...Array.from({ length: targets }, (_, i) => ({ name: `to${i}`, mode: "write" as const, type: "f32" })),
    ...Array.from({ length: sources }, (_, i) => ({ name: `from${i}`, mode: "read" as const, type: "f32" })),
  ];
  const fields = [
    { name: "sums", type: `array<vec4<i32>, ${2 * MOST_SUMS}>` },
    { name: "count", type: "i32" },
  ];
  return {
    name: `folds of ${sources} into ${targets}`,
    key: `folds ${sources} ${targets}${barriers ? "" : " alone"}`,
    code: shaderText(fields, bindings, code),
    access: bindings.map(({ mode }) => mode),
    about: "sums of parts, several in one dispatch: hand-written",
  };
}
