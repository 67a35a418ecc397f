import { memo, type View, wordOf } from "@dfine/tensor/kernel";
import type { Shader } from "../commands/shader.ts";
import { shaderText } from "../print/library.ts";

/** How a kernel sees a buffer. Elements of a view start at `o_‹name›`; as vec4f both count in fours. */
export type BindingType = "f32" | "i32" | "vec4f" | "atomic<i32>";
export type UniformType = "i32" | "u32" | "f32";

/**
 * A hand-written WGSL kernel.
 *
 * `body` holds the functions, `main` among them, and workgroup variables. In scope: every binding as an array under its
 * name, `u.‹name›` for each uniform, and `u.o_‹binding›`, the first element of the view bound there (views never start at 0
 * by themselves). The functions of `print/library.ts` (`exp_f32`, `max_f32`, `is_nan` …) are added when called.
 */
export interface WgslKernel<B extends string = string, U extends string = string> {
  /** What traces and errors call it; also its key, so it must name every variant of the text: "matmul.tiled 64×64". */
  readonly name: string;
  readonly bindings: Readonly<Record<B, `${"read" | "write"} ${BindingType}`>>;
  readonly uniforms: Readonly<Record<U, UniformType>>;
  readonly body: string;
  /** WGSL extensions to enable, such as "f16". */
  readonly enable?: readonly string[];
}

/** A view whose shape a kernel is told otherwise. */
export type BufferView = Pick<View, "buffer" | "offset">;

/** One dispatch of a kernel. */
export interface WgslCall<B extends string, U extends string> {
  /** A buffer may be bound twice for reading; one that is written must not be bound again. */
  readonly views: Readonly<Record<B, BufferView>>;
  readonly uniforms: Readonly<Record<U, number>>;
  /** At most 65535 along each axis. */
  readonly workgroups: readonly [number, number?, number?];
  /** Element visits in all: tells when to submit, so that a GPU's watchdog is content. */
  readonly work?: number;
}

/** Checks a kernel's names against each other when it is written; `examples/own-op` has an example. */
export const wgslKernel = <const B extends string, const U extends string>(
  kernel: WgslKernel<B, U>,
): WgslKernel<B, U> => kernel;

/** The uniforms that take these values, all of them i32. */
export const wholeNumbers = (values: Readonly<Record<string, number>>): Record<string, "i32"> =>
  Object.fromEntries(Object.keys(values).map((name) => [name, "i32"]));

/** Whether a view can be bound as vec4f. */
export const isVec4 = (view: Pick<View, "offset">): boolean => view.offset % 4 === 0;

const shaders = new Map<WgslKernel, Shader>();

/** The kernel with its whole text. */
export const shaderOf = (kernel: WgslKernel): Shader => memo(shaders, kernel, () => printShader(kernel));

function printShader(kernel: WgslKernel): Shader {
  const bindings = Object.entries(kernel.bindings).map(([name, text]) => {
    const [mode, type] = text.split(" ") as ["read" | "write", BindingType];
    return { name, mode, type };
  });
  const offsets = bindings.map(({ name }) => ({ name: `o_${name}` }));
  const uniforms = Object.entries(kernel.uniforms).map(([name, type]) => ({ name, type }));
  const enabled = (kernel.enable ?? []).map((extension) => `enable ${extension};\n`).join("");
  return {
    name: kernel.name,
    key: `wgsl:${kernel.name}`,
    code: enabled + shaderText([...offsets, ...uniforms], bindings, kernel.body),
    access: bindings.map(({ mode }) => mode),
    about: `${kernel.name}: hand-written`,
  };
}

/** The uniforms of a call as words: offsets of the views, then the kernel's own. */
export function wordsOf<B extends string, U extends string>(kernel: WgslKernel<B, U>, call: WgslCall<B, U>): number[] {
  const words: number[] = [];
  for (const name of Object.keys(kernel.bindings) as B[]) {
    const { offset } = call.views[name];
    if (!kernel.bindings[name].endsWith("vec4f")) words.push(offset);
    else if (offset % 4 === 0) words.push(offset / 4);
    else
      throw new Error(`${kernel.name}: ${name} starts at element ${offset}, which no vec4f does; decline it in select`);
  }
  for (const name of Object.keys(kernel.uniforms) as U[]) {
    const value = call.uniforms[name];
    words.push(wordOf(value, kernel.uniforms[name] === "f32" ? "f32" : "i32"));
  }
  return words;
}
