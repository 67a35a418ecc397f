import type { View } from "@dfine/tensor/kernel";
import type { CpuRuntime, Job, WasmKernel } from "../runtime.ts";
import { Assembler, type Local } from "../wasm/assembler.ts";

/** A kernel with named words. */
export interface NamedKernel<Name extends string> extends WasmKernel {
  readonly names: readonly Name[];
}

/** A kernel whose launch passes a word for each of `names`: `print` finds them in locals. Equal names are the same code. */
export const namedKernel = <Name extends string>(
  name: string,
  names: readonly Name[],
  print: (f: Assembler, arg: Record<Name, Local>) => void,
): NamedKernel<Name> => ({
  key: name,
  name,
  names,
  build(options) {
    const f = new Assembler(options);
    print(f, Object.fromEntries(names.map((word, i) => [word, f.argLocal(i)])) as Record<Name, Local>);
    return f.finish();
  },
});

/** Launches a kernel with its words by name; a view stands for its address. */
export function launchNamed<Name extends string>(
  runtime: CpuRuntime,
  kernel: NamedKernel<Name>,
  { words, units, grain }: { words: Record<NoInfer<Name>, number | View> } & Pick<Job, "units" | "grain">,
): void {
  const args = kernel.names.map((name) => {
    const word = words[name];
    return typeof word === "number" ? word : runtime.pointer(word);
  });
  runtime.launch(kernel, { args, units, grain });
}

/** `quotient = dividend / divisor` and `remainder`, all non-negative. */
export function divide(
  f: Assembler,
  [dividend, divisor]: readonly [Local, Local],
  { quotient, remainder }: { quotient: Local; remainder: Local },
): void {
  f.get(dividend, divisor).op("i32.div_u").set(quotient);
  f.get(dividend, quotient, divisor).op("i32.mul", "i32.sub").set(remainder);
}

/** Pushes the smaller of two non-negative locals. */
export const smaller = (f: Assembler, a: Local, b: Local): Assembler => f.get(a, b, a, b).op("i32.lt_s").select();

/** Brings an index into 0 … count − 1; of no elements it becomes 0. */
export function clampIndex(f: Assembler, index: Local, count: Local): void {
  const last = f.local("i32");
  f.get(count).i32(1).op("i32.sub").set(last);
  f.get(index, last, index, last).op("i32.lt_s").select().set(index);
  f.get(index).i32(0).get(index).i32(0).op("i32.gt_s").select().set(index);
  f.release(last);
}
