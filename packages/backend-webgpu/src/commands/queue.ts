import { BackendError } from "@dfine/tensor";
import { roundUp } from "@dfine/tensor/kernel";
import { USAGE } from "../device/constants.ts";
import type { Gpu } from "../device/gpu.ts";
import type { Limits } from "../device/workLimits.ts";
import type { Block } from "../memory/gpuBuffer.ts";
import type { Command } from "./command.ts";
import { Held, type HeldCommand } from "./held.ts";
import { Pipelines } from "./pipelines.ts";
import type { Profiler } from "./profiler.ts";
import { UNIFORM_BYTES } from "./shader.ts";

/** A place in a buffer that copies read or write. */
export interface Place {
  readonly block: Pick<Block, "gpu" | "batch">;
  readonly byteOffset: number;
}

/** Uniforms of a dispatch start at multiples of this, WebGPU's largest minimum. */
const ALIGNMENT = 256;
/** Dispatches gathered before the GPU gets to see them: enough to pay for a submit, few enough to keep it busy. */
const MOST_DISPATCHES = 128;
const RING_BYTES = MOST_DISPATCHES * UNIFORM_BYTES;

/**
 * Commands in order: one encoder and one open compute pass until the batch is full, a copy, or a read. Uniforms of a batch
 * go to the device in one write.
 */
export class CommandQueue {
  readonly pipelines: Pipelines;
  readonly #gpu: Gpu;
  readonly #profiler: Profiler | undefined;
  readonly #uniforms: GPUBuffer;
  readonly #words = new Int32Array((RING_BYTES + UNIFORM_BYTES) / 4);
  /** Where the uniforms of a dispatch start. */
  readonly #offsets = new Uint32Array(1);
  readonly #mostGroups: number;
  readonly #limits: Pick<Limits, "visits">;
  readonly #held: Held;
  /** Since the last submit. */
  #writtenBytes = 0;
  #usedBytes = 0;
  #encoder: GPUCommandEncoder | undefined;
  #pass: GPUComputePassEncoder | undefined;
  #names: string[] = [];
  #work = 0;
  #batch = 0;
  #mayHold = true;
  /** Within `rehearse`. */
  rehearsing = false;
  /** Of the one pass of a batch that is timed. */
  #stamps: GPUComputePassTimestampWrites | undefined;

  constructor(
    gpu: Gpu,
    {
      profiler,
      limits,
      maxBindings,
    }: { profiler?: Profiler | undefined; limits: Pick<Limits, "visits">; maxBindings: number },
  ) {
    const { device } = gpu;
    this.#gpu = gpu;
    this.#profiler = profiler;
    this.#limits = limits;
    this.#held = new Held({ run: (command) => this.#run(command), maxBindings, limits });
    this.#mostGroups = device.limits.maxComputeWorkgroupsPerDimension;
    this.#uniforms = device.createBuffer({
      label: "uniforms",
      size: RING_BYTES + UNIFORM_BYTES,
      usage: USAGE.uniform | USAGE.copyTarget,
    });
    this.pipelines = new Pipelines(gpu, this.#uniforms);
  }

  /** Runs `work` so that kernels are compiled instead of run, and nothing is copied. */
  rehearse<T>(work: () => T): T {
    this.rehearsing = true;
    try {
      return work();
    } finally {
      this.#held.release();
      this.rehearsing = false;
    }
  }

  /**
   * Runs `work` so that its dispatches are one pass and one batch, in which nothing else is, with timestamps at both ends; in
   * the end `resolve` appends what reads them.
   */
  stamped(
    stamps: GPUComputePassTimestampWrites,
    work: () => void,
    resolve: (encoder: GPUCommandEncoder) => void,
  ): void {
    this.flush();
    this.#stamps = stamps;
    try {
      work();
    } finally {
      this.#held.release();
      this.#closePass();
      this.#stamps = undefined;
      resolve(this.#openEncoder());
      this.flush();
    }
  }

  /** Appends a dispatch. @throws BackendError when it is too large for the device */
  dispatch(command: Command): void {
    this.#held.before(command);
    this.#run(command);
  }

  /** Appends a dispatch that may share one with others: before anything else that touches what it does. */
  hold(command: HeldCommand): void {
    // One with more uniforms than there is room for is refused when it runs.
    if (this.#mayHold && command.words.length <= UNIFORM_BYTES / 4) this.#held.hold(command);
    else this.#run(command);
  }

  /** Runs dispatches that wait. */
  release(): void {
    this.#held.release();
  }

  /** Has no dispatch wait from now on. */
  endHolding(): void {
    this.release();
    this.#mayHold = false;
  }

  /** Calls `give` once no dispatch that waits needs a block. */
  whenUnused(block: Block, give: () => void): void {
    this.#held.whenUnused(block, give);
  }

  #run({ shader, blocks, words, workgroups, work = 0 }: Command): void {
    const [x, y, z] = workgroups;
    if (Math.max(x, y, z) > this.#mostGroups || words.length * 4 > UNIFORM_BYTES)
      throw new BackendError(
        `webgpu: kernel ${shader.name} asks for ${workgroups.join(" × ")} workgroups and ${words.length} uniforms; the most are ${this.#mostGroups} along an axis and ${UNIFORM_BYTES / 4}`,
      );
    if (x * y * z === 0) return;
    if (this.rehearsing) {
      this.pipelines.prepare(shader);
      return;
    }
    const pipeline = this.pipelines.get(shader);
    const group = this.pipelines.bindGroup(pipeline, blocks);
    const timestampWrites = this.#stamps ?? this.#profiler?.begin(shader.name);
    this.#pass ??= this.#openEncoder().beginComputePass(timestampWrites ? { timestampWrites } : {});
    this.#pass.setPipeline(pipeline.pipeline);
    this.#offsets[0] = this.#pushUniforms(words);
    this.#pass.setBindGroup(0, group, this.#offsets, 0, 1);
    this.#pass.dispatchWorkgroups(x, y, z);
    // Kernels that are timed have a pass each.
    if (this.#profiler && !this.#stamps) this.#closePass();
    for (const block of blocks) block.batch = this.#batch;
    this.#gpu.counters.dispatches++;
    this.#work += work;
    const isFull = this.#names.push(shader.name) >= MOST_DISPATCHES || this.#work >= this.#limits.visits;
    if (isFull && !this.#stamps) this.#submit();
  }

  /**
   * Writes into a block, after all commands so far and before all later ones. What is written lies beside the device until it
   * is submitted, so that is done every `pieceBytes`.
   */
  write(block: Block, byteOffset: number, data: Float32Array | Int32Array): void {
    if (this.#held.touches(block, true)) this.#held.release();
    // A write goes to the queue at once, so commands that are still being gathered must go first if they use the block.
    if (block.batch === this.#batch) this.#submit();
    const { device, pieceBytes } = this.#gpu;
    for (let at = 0, bytes: number; at < data.byteLength; at += bytes) {
      bytes = Math.min(data.byteLength - at, pieceBytes);
      device.queue.writeBuffer(block.gpu, byteOffset + at, data.buffer, data.byteOffset + at, bytes);
      this.#writtenBytes += bytes;
      if (this.#writtenBytes < pieceBytes) continue;
      device.queue.submit([]);
      this.#writtenBytes = 0;
    }
  }

  /** Appends a copy of bytes, a multiple of four, from one buffer to another. */
  copy(from: Place, to: Place, bytes: number): void {
    if (this.#held.touches(from.block, false) || this.#held.touches(to.block, true)) this.#held.release();
    if (this.rehearsing) return;
    this.#closePass();
    this.#openEncoder().copyBufferToBuffer(from.block.gpu, from.byteOffset, to.block.gpu, to.byteOffset, bytes);
    for (const { block } of [from, to]) block.batch = this.#batch;
    this.#gpu.counters.copies++;
  }

  /** Submits what was gathered. */
  flush(): void {
    this.#held.release();
    this.#submit();
  }

  #submit(): void {
    const encoder = this.#encoder;
    if (!encoder) return;
    this.#closePass();
    const readTimes = this.#profiler?.resolve(encoder);
    const names = this.#names;
    const explain = (message: string) =>
      new BackendError(
        `webgpu: a batch of commands was refused: ${message}\nIts kernels: ${[...new Set(names)].join(", ")}`,
      );
    const { device, faults, counters } = this.#gpu;
    faults.watch("validation", explain, () => {
      if (this.#usedBytes > 0) device.queue.writeBuffer(this.#uniforms, 0, this.#words.buffer, 0, this.#usedBytes);
      device.queue.submit([encoder.finish()]);
    });
    readTimes?.();
    this.#encoder = undefined;
    this.#usedBytes = 0;
    this.#writtenBytes = 0;
    this.#names = [];
    this.#work = 0;
    this.#batch++;
    counters.submits++;
  }

  #openEncoder(): GPUCommandEncoder {
    this.#encoder ??= this.#gpu.device.createCommandEncoder();
    return this.#encoder;
  }

  #closePass(): void {
    this.#pass?.end();
    this.#pass = undefined;
  }

  /** Gives the byte offset of the words in the uniform buffer. */
  #pushUniforms(words: ArrayLike<number>): number {
    const offset = this.#usedBytes;
    this.#words.set(words, offset / 4);
    this.#usedBytes = offset + roundUp(Math.max(words.length * 4, 1), ALIGNMENT);
    return offset;
  }
}
