import { BackendError } from "@dfine/tensor";
import { memo, NumbersMemo } from "@dfine/tensor/kernel";
import { STAGE_COMPUTE } from "../device/constants.ts";
import type { Gpu } from "../device/gpu.ts";
import type { Block } from "../memory/gpuBuffer.ts";
import { type Shader, type StorageAccess, UNIFORM_BYTES } from "./shader.ts";

/** Bind groups of one signature; a bind group is made once per combination of blocks. */
interface Signature {
  readonly bindLayout: GPUBindGroupLayout;
  readonly layout: GPUPipelineLayout;
  groups: NumbersMemo<GPUBindGroup>;
}

export interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly signature: Signature;
}

/** Per signature; a training step of D-FINE needs some thousands in all. */
const MOST_BIND_GROUPS = 16384;

/** Compiled shaders and bind groups of a device. */
export class Pipelines {
  readonly #gpu: Gpu;
  readonly #uniforms: GPUBuffer;
  readonly #signatures = new Map<string, Signature>();
  readonly #pipelines = new Map<string, Pipeline>();
  readonly #prepared = new Map<string, Promise<void>>();

  constructor(gpu: Gpu, uniforms: GPUBuffer) {
    this.#gpu = gpu;
    this.#uniforms = uniforms;
  }

  /** Compiles a shader the first time. A mistake in it is told by the next read, with kernel and code. */
  get(shader: Shader): Pipeline {
    return memo(this.#pipelines, shader.key, () =>
      this.#watch(shader, () => {
        const { descriptor, signature } = this.#describe(shader);
        return this.#compiled(this.#gpu.device.createComputePipeline(descriptor), signature);
      }),
    );
  }

  /** Whether a shader is compiled. */
  has(shader: Shader): boolean {
    return this.#pipelines.has(shader.key);
  }

  /** Starts compiling a shader beside everything else; used before it is ready, it is compiled at once. */
  prepare(shader: Shader): void {
    if (this.#pipelines.has(shader.key) || this.#prepared.has(shader.key)) return;
    const { descriptor, signature } = this.#watch(shader, () => this.#describe(shader));
    const compiling = this.#gpu.device.createComputePipelineAsync(descriptor).then(
      (pipeline) => void memo(this.#pipelines, shader.key, () => this.#compiled(pipeline, signature)),
      // Compiling it again, when it is used, tells why.
      () => undefined,
    );
    const ready = compiling.then(() => void this.#prepared.delete(shader.key));
    this.#prepared.set(shader.key, ready);
  }

  /** Resolves when all shaders that were prepared are ready. */
  async whenPrepared(): Promise<void> {
    await Promise.all(this.#prepared.values());
  }

  bindGroup({ signature }: Pipeline, blocks: readonly Block[]): GPUBindGroup {
    return signature.groups.get([blocks.map((block) => block.id)], () => {
      this.#gpu.counters.bindGroups++;
      return this.#gpu.device.createBindGroup({
        layout: signature.bindLayout,
        entries: [
          { binding: 0, resource: { buffer: this.#uniforms, offset: 0, size: UNIFORM_BYTES } },
          ...blocks.map(({ gpu }, i) => ({ binding: i + 1, resource: { buffer: gpu } })),
        ],
      });
    });
  }

  /** Must be called before blocks are destroyed: bind groups keep them alive. */
  forgetBindGroups(): void {
    for (const signature of this.#signatures.values()) signature.groups = new NumbersMemo(MOST_BIND_GROUPS);
  }

  #compiled(pipeline: GPUComputePipeline, signature: Signature): Pipeline {
    this.#gpu.counters.pipelines++;
    return { pipeline, signature };
  }

  #watch<T>(shader: Shader, body: () => T): T {
    const explain = (message: string): BackendError =>
      new BackendError(
        `webgpu: kernel ${shader.name} is not valid: ${message}\nKernel:\n${shader.about}\nWGSL:\n${numbered(shader.code)}`,
      );
    return this.#gpu.faults.watch("validation", explain, body);
  }

  #describe({ name, code, access }: Shader): { descriptor: GPUComputePipelineDescriptor; signature: Signature } {
    const signature = this.#signatureFor(access);
    const module = this.#gpu.device.createShaderModule({ label: name, code });
    return {
      descriptor: { label: name, layout: signature.layout, compute: { module, entryPoint: "main" } },
      signature,
    };
  }

  #signatureFor(access: readonly StorageAccess[]): Signature {
    return memo(this.#signatures, access.join(), () => {
      const bindLayout = this.#gpu.device.createBindGroupLayout({
        entries: [
          { binding: 0, visibility: STAGE_COMPUTE, buffer: { type: "uniform", hasDynamicOffset: true } },
          ...access.map((mode, i) => ({
            binding: i + 1,
            visibility: STAGE_COMPUTE,
            buffer: { type: mode === "read" ? ("read-only-storage" as const) : ("storage" as const) },
          })),
        ],
      });
      const layout = this.#gpu.device.createPipelineLayout({ bindGroupLayouts: [bindLayout] });
      return { bindLayout, layout, groups: new NumbersMemo(MOST_BIND_GROUPS) };
    });
  }
}

const numbered = (code: string): string =>
  code
    .split("\n")
    .map((line, i) => `${String(i + 1).padStart(4)}  ${line}`)
    .join("\n");
