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
  /** The kernel as a part of another, where it can be one. */
  readonly part?: ShaderPart;
}

/** A kernel whose workgroups need nothing but their number: others may stand abreast of it in one dispatch. */
export interface ShaderPart {
  readonly name: string;
  readonly fields: readonly { readonly name: string; readonly type?: string }[];
  /** Of the elements of each storage buffer in order of binding. */
  readonly types: readonly string[];
  /**
   * `fn ‹name›(index: i32, local: u32)`, what a thread of a workgroup does. Its uniforms are fields of `u` whose names start with
   * `‹name›_`, and its buffer i is bound as b‹slots[i]›.
   */
  print(name: string, slots: readonly number[]): string;
}

/** Threads of a workgroup of a kernel that may be a part. */
export const PART_THREADS = 64;

export type StorageAccess = "read" | "write";

/** Bytes of the uniforms that one dispatch may have. */
export const UNIFORM_BYTES = 1024;
