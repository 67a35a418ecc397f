import { Assembler, type AssemblerOptions } from "../wasm/assembler.ts";
import { canMerge, compileOptimized } from "../wasm/wide.ts";
import { makeTile, multiply, storeTile } from "./tile.ts";

const K = 256;
const ROUNDS = 4;
const REPEATS = 16;

/** One tile, multiplied `end − begin` times. The words are the addresses of rows of a (adjacent), of a panel of b, and of c. */
export function tileKernel(options: AssemblerOptions): Uint8Array {
  const f = new Assembler(options);
  const tile = makeTile(f);
  const { rows, columns } = tile.shape;
  const [unit, kBytes, pitch, address] = f.locals("i32", 4);
  const [panel, to] = [f.argLocal(1), f.argLocal(2)];
  f.i32(K * 4).set(kBytes);
  f.i32(columns * 4).set(pitch);
  for (const [i, row] of tile.rows.entries())
    f.arg(0)
      .i32(i * K * 4)
      .op("i32.add")
      .set(row);
  f.for(unit, { from: f.begin, to: f.end }, () => {
    multiply(f, tile, { height: rows, kBytes, panel });
    f.get(to).set(address);
    storeTile(f, tile, { height: rows, address, pitch });
  });
  return f.finish();
}

/** The same code under another name, so that the engine does not find the code compiled before. */
const renamed = (bytes: Uint8Array): Uint8Array => Uint8Array.from([...bytes, 0, 2, 1, 0x78]);

const WORDS = 2048;

function load(module: WebAssembly.Module) {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const words = new Int32Array(memory.buffer);
  const floats = new Float32Array(memory.buffer);
  const [a, b, c] = [WORDS, WORDS + 6 * K, WORDS + 22 * K];
  words.set([a * 4, b * 4, c * 4]);
  for (let i = a; i < c; i++) floats[i] = Math.sin(i);
  const { exports } = new WebAssembly.Instance(module, { env: { memory, thread: 0 } });
  const run = exports.run as (args: number, begin: number, end: number) => void;
  return { run: (times: number) => run(0, 0, times), result: words.subarray(c, c + 96) };
}

const found = new Map<boolean, boolean>();

/**
 * Whether wide kernels are right and fast on this machine: the wide tile must give the same bits compiled with merging and
 * without, and do more multiply-adds per millisecond than the narrow one. Measured once per process, in a few milliseconds.
 */
export function isWideFaster({ relaxed }: Pick<AssemblerOptions, "relaxed">): boolean {
  let answer = found.get(relaxed);
  if (answer === undefined) {
    answer = canMerge() && check(relaxed);
    found.set(relaxed, answer);
  }
  return answer;
}

function check(relaxed: boolean): boolean {
  const options = { relaxed, shared: true };
  const bytes = tileKernel({ ...options, wide: true });
  const wide = load(compileOptimized(bytes, { merge: true }));
  const unmerged = load(compileOptimized(renamed(bytes), { merge: false }));
  const narrow = load(compileOptimized(tileKernel({ ...options, wide: false }), { merge: false }));
  wide.run(1);
  unmerged.run(1);
  narrow.run(1);
  if (!wide.result.every((word, i) => word === unmerged.result[i])) return false;
  const best = [wide, narrow].map(() => Number.POSITIVE_INFINITY);
  for (let round = 0; round < ROUNDS; round++)
    for (const [i, { run }] of [wide, narrow].entries()) {
      const start = performance.now();
      run(REPEATS);
      best[i] = Math.min(best[i]!, performance.now() - start);
    }
  // Per multiply-add: the wide tile has 96 sums, the narrow one 40.
  return best[0]! / 96 < best[1]! / 40;
}
