/** A compute kernel in WGSL with its interface: `u` at binding 0, storage buffers from binding 1 on. */
export interface Shader {
  /** What traces and errors call it. */
  readonly name: string;
  /** Equal keys are the same code; holds no sizes. */
  readonly key: string;
  readonly code: string;
  /** Of each storage buffer in order of binding. */
  readonly access: readonly StorageAccess[];
  /** The kernel as readable text, for errors. */
  readonly about: string;
}

export type StorageAccess = "read" | "write";

/** Bytes of the uniforms that one dispatch may have. */
export const UNIFORM_BYTES = 1024;
