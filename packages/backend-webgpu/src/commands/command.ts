import type { Block } from "../memory/gpuBuffer.ts";
import type { Shader } from "./shader.ts";

/** One dispatch. */
export interface Command {
  readonly shader: Shader;
  /** Of the shader's storage bindings, in order. */
  readonly blocks: readonly Block[];
  /** Uniforms as 32-bit words (as `wordOf` gives them). */
  readonly words: ArrayLike<number>;
  readonly workgroups: readonly [number, number, number];
  /** Elements that threads will visit, all together; default 0: little. */
  readonly work?: number;
}
