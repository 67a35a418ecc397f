// V8 can merge two neighbouring operations on 128-bit vectors into one on 256 bits. It is asked to by a flag of the whole
// process, so the flags below are set while a module is compiled and back again before anything else runs. What the
// process was started with is its user's choice and stays as it is.

const node = globalThis.process?.versions?.node === undefined ? undefined : globalThis.process;

/** Merging, and what has a module compiled at once, by the optimizing compiler; with what sets each back. */
const FLAGS = {
  merge: ["--experimental-wasm-revectorize", "--no-experimental-wasm-revectorize"],
  optimized: ["--no-liftoff", "--liftoff"],
  atOnce: ["--no-wasm-lazy-compilation", "--wasm-lazy-compilation"],
} as const;

/** Node 22 ignores the flag that merges, and Node 20 prints an error. */
const FIRST_NODE = 24;

/** Whether modules can be compiled with these flags here; what that gives is for `tileCheck` to say. */
export const canMerge = (): boolean =>
  node !== undefined && node.arch === "x64" && Number.parseInt(node.versions.node, 10) >= FIRST_NODE;

/** What a kernel's module exports. */
export type Run = (args: number, begin: number, end: number) => void;

/**
 * The same kernel, after which the upper halves of the vector registers are zero. Code that V8 merged leaves numbers there, and
 * while it does, the processor runs what is compiled for SSE up to twenty times slower: `Math.exp`, the garbage collector, all of
 * the engine that is C++. Node finds out whether bytes are text by functions that end with `vzeroupper`; that takes 50 ns.
 */
export function leavingClean(run: Run): Run {
  const { isAscii } = node!.getBuiltinModule("buffer");
  const text = new Uint8Array(256);
  return (args, begin, end) => {
    run(args, begin, end);
    isAscii(text);
  };
}

/** What the process was started with. */
let given: readonly string[] | undefined;

/** Compiles a module with the optimizing compiler, its neighbouring vectors merged or not. Only where `canMerge`. */
export function compileOptimized(bytes: Uint8Array, { merge }: { readonly merge: boolean }): WebAssembly.Module {
  const { setFlagsFromString } = node!.getBuiltinModule("v8");
  given ??= [...node!.execArgv, ...(node!.env.NODE_OPTIONS ?? "").split(/\s+/)].map((name) =>
    name.replaceAll("_", "-"),
  );
  const flags = [FLAGS.optimized, FLAGS.atOnce, ...(merge ? [FLAGS.merge] : [])].filter(
    (names) => !names.some((name) => given!.includes(name)),
  );
  for (const [set] of flags) setFlagsFromString(set);
  try {
    return new WebAssembly.Module(bytes as BufferSource);
  } finally {
    for (const [, back] of flags) setFlagsFromString(back);
  }
}
