import { wgslKernel } from "./wgslKernel.ts";

/** Threads of a workgroup that selects together: one for each value of a digit. */
const DIGITS = 256;

/**
 * Elements sort by key, then by lower position: two words, eight digits of a byte each, no two elements alike. The k-th
 * largest is found digit by digit: count the elements of each digit among those that agree so far, and take the digit in
 * which the k-th lies, until all that agree are wanted.
 */
const COMMON = `
struct Part { row: i32, first: i32, count: i32 }
fn part_of(unit: i32) -> Part {
  let row = unit / u.parts;
  let part = unit - row * u.parts;
  let whole = u.count / u.parts;
  let rest = u.count - whole * u.parts;
  return Part(row, part * whole + min(part, rest), whole + select(0, 1, part < rest));
}
fn position_of(part: Part, i: i32) -> i32 {
  let at = part.first + i;
  if (u.among == 0) { return at; }
  return positions[u.o_positions + part.row * u.count + at];
}
fn words_of(part: Part, position: i32) -> vec2<u32> {
  return vec2(order_key(x[u.o_x + part.row * u.size + position]), ~bitcast<u32>(position));
}
struct Threshold { words: vec2<u32>, mask: vec2<u32> }
fn agrees(words: vec2<u32>, threshold: Threshold) -> bool {
  return all(((words ^ threshold.words) & threshold.mask) == vec2(0u));
}
fn is_taken(words: vec2<u32>, threshold: Threshold) -> bool {
  let known = words & threshold.mask;
  let limit = threshold.words;
  return known.x > limit.x || (known.x == limit.x && known.y >= limit.y);
}
fn digit_of(words: vec2<u32>, digit: u32) -> u32 {
  return (select(words.x, words.y, digit >= 4u) >> (24u - 8u * (digit & 3u))) & 255u;
}
fn with_digit(threshold: Threshold, digit: u32, value: u32) -> Threshold {
  let shift = 24u - 8u * (digit & 3u);
  let word = select(vec2(1u, 0u), vec2(0u, 1u), digit >= 4u);
  return Threshold(threshold.words | (word * (value << shift)), threshold.mask | (word * (255u << shift)));
}`;

/** A thread per part; no barriers. */
const ALONE = `
var<private> counts: array<u32, ${DIGITS}>;
@compute @workgroup_size(1)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let unit = i32(group.y * groups.x + group.x);
  if (unit >= u.units) { return; }
  let part = part_of(unit);
  var threshold = Threshold(vec2(0u), vec2(0u));
  var missing = u32(u.k);
  for (var digit = 0u; digit < 8u; digit++) {
    for (var value = 0u; value < ${DIGITS}u; value++) { counts[value] = 0u; }
    for (var i = 0; i < part.count; i++) {
      let words = words_of(part, position_of(part, i));
      if (agrees(words, threshold)) { counts[digit_of(words, digit)]++; }
    }
    var value = ${DIGITS - 1}u;
    while (counts[value] < missing) { missing -= counts[value]; value--; }
    threshold = with_digit(threshold, digit, value);
    if (counts[value] == missing) { break; }
  }
  var to = u.o_chosen + unit * u.k;
  for (var i = 0; i < part.count; i++) {
    let position = position_of(part, i);
    if (is_taken(words_of(part, position), threshold)) { chosen[to] = position; to++; }
  }
}`;

/** A workgroup per part. Which thread comes first decides where an element is put, but not whether it is. */
const TOGETHER = `
var<workgroup> counts: array<atomic<u32>, ${DIGITS}>;
var<workgroup> sums: array<u32, ${DIGITS}>;
var<workgroup> found: vec3<u32>;
var<workgroup> taken: atomic<i32>;
@compute @workgroup_size(${DIGITS})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let unit = i32(group.y * groups.x + group.x);
  if (unit >= u.units) { return; }
  let part = part_of(unit);
  var threshold = Threshold(vec2(0u), vec2(0u));
  var missing = u32(u.k);
  if (lane == 0u) { atomicStore(&taken, 0); }
  for (var digit = 0u; digit < 8u; digit++) {
    atomicStore(&counts[lane], 0u);
    workgroupBarrier();
    for (var i = i32(lane); i < part.count; i += ${DIGITS}) {
      let words = words_of(part, position_of(part, i));
      if (agrees(words, threshold)) { atomicAdd(&counts[digit_of(words, digit)], 1u); }
    }
    workgroupBarrier();
    // sums[lane]: elements of this digit's value and above.
    let mine = atomicLoad(&counts[lane]);
    sums[lane] = mine;
    workgroupBarrier();
    for (var step = 1u; step < ${DIGITS}u; step *= 2u) {
      var above = 0u;
      if (lane + step < ${DIGITS}u) { above = sums[lane + step]; }
      workgroupBarrier();
      sums[lane] += above;
      workgroupBarrier();
    }
    let above = sums[lane] - mine;
    if (above < missing && sums[lane] >= missing) { found = vec3(lane, missing - above, mine); }
    let next = workgroupUniformLoad(&found);
    threshold = with_digit(threshold, digit, next.x);
    missing = next.y;
    if (next.z == missing) { break; }
  }
  for (var i = i32(lane); i < part.count; i += ${DIGITS}) {
    let position = position_of(part, i);
    if (is_taken(words_of(part, position), threshold)) {
      chosen[u.o_chosen + unit * u.k + atomicAdd(&taken, 1)] = position;
    }
  }
}`;

/**
 * Selects in x [rows, size], each row cut into `parts`: `chosen`, [rows, parts, k], takes the positions of each part's k
 * largest elements in any order. If `among` is 1, only `count` positions of each row count, [rows, count]. A workgroup for
 * each of rows · parts `units`.
 */
const selectKernel = (name: string, main: string) =>
  wgslKernel({
    name,
    bindings: { x: "read i32", positions: "read i32", chosen: "write i32" },
    uniforms: { size: "i32", count: "i32", among: "i32", parts: "i32", units: "i32", k: "i32" },
    body: `${COMMON}${main}`,
  });
export const SELECT_ALONE = selectKernel("topK.select", ALONE);
export const SELECT_TOGETHER = selectKernel("topK.select together", TOGETHER);
