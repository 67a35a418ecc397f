import { Assembler, type AssemblerOptions } from "../wasm/assembler.ts";
import { canMerge, compileOptimized, leavingClean, type Run } from "../wasm/wide.ts";
import { makeTile, multiply, storeTile, tileShape } from "./tile.ts";

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
  const product = { rows: "matrix", height: rows, kBytes, aTable: to, aPitch: pitch, panel } as const;
  f.i32(K * 4).set(kBytes);
  f.i32(columns * 4).set(pitch);
  for (const [i, row] of tile.rows.entries())
    f.arg(0)
      .i32(i * K * 4)
      .op("i32.add")
      .set(row);
  f.for(unit, { from: f.begin, to: f.end }, () => {
    multiply(f, tile, product);
    f.get(to).set(address);
    storeTile(f, tile, { height: rows, address, pitch });
  });
  return f.finish();
}

/** The same code under another name, so that the engine does not find the code compiled before. */
const renamed = (bytes: Uint8Array): Uint8Array => Uint8Array.from([...bytes, 0, 2, 1, 0x78]);

function load(bytes: Uint8Array, { wide, merge = wide }: { wide: boolean; merge?: boolean }) {
  const { rows, columns } = tileShape({ wide });
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const words = new Int32Array(memory.buffer);
  const [a, b, c, end] = [16, 16 + rows * K, 16 + (rows + columns) * K, 16 + (rows + columns) * K + rows * columns];
  words.set([a * 4, b * 4, c * 4]);
  new Float32Array(memory.buffer).subarray(a, c).forEach((_, i, floats) => {
    floats[i] = Math.sin(i);
  });
  const { exports } = new WebAssembly.Instance(compileOptimized(bytes, { merge }), { env: { memory, thread: 0 } });
  const run = leavingClean(exports.run as Run);
  const time = (): number => {
    const start = performance.now();
    run(0, 0, REPEATS);
    return (performance.now() - start) / (end - c);
  };
  return { time, result: words.subarray(c, end) };
}

const found = new Map<boolean, boolean>();

/**
 * Whether wide kernels are right and fast on this machine: the wide tile must give the same bits compiled with merging and
 * without, and take less time for each sum than the narrow one. Measured once per process, in a few milliseconds.
 */
export function isWideFaster({ relaxed }: Pick<AssemblerOptions, "relaxed">): boolean {
  let answer = found.get(relaxed);
  if (answer === undefined) {
    try {
      answer = canMerge() && check(relaxed);
    } catch {
      // Other runtimes call themselves Node and have no such flags.
      answer = false;
    }
    found.set(relaxed, answer);
  }
  return answer;
}

function check(relaxed: boolean): boolean {
  const [wideCode, narrowCode] = [true, false].map((wide) => tileKernel({ relaxed, shared: true, wide }));
  const wide = load(wideCode!, { wide: true });
  const unmerged = load(renamed(wideCode!), { wide: true, merge: false });
  const narrow = load(narrowCode!, { wide: false });
  for (const { time } of [wide, unmerged, narrow]) time();
  if (!wide.result.every((word, i) => word === unmerged.result[i])) return false;
  const best = { wide: Number.POSITIVE_INFINITY, narrow: Number.POSITIVE_INFINITY };
  for (let round = 0; round < ROUNDS; round++) {
    best.wide = Math.min(best.wide, wide.time());
    best.narrow = Math.min(best.narrow, narrow.time());
  }
  return best.wide < best.narrow;
}
