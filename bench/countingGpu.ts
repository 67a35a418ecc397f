/** Limits of a discrete card. */
const LIMITS = {
  maxBufferSize: 2 ** 32,
  maxStorageBufferBindingSize: 2 ** 32 - 4,
  maxStorageBuffersPerShaderStage: 16,
  maxComputeInvocationsPerWorkgroup: 1024,
  maxComputeWorkgroupSizeX: 1024,
  maxComputeWorkgroupSizeY: 1024,
  maxComputeWorkgroupStorageSize: 49152,
  maxComputeWorkgroupsPerDimension: 65535,
};
const FEATURES = ["shader-f16", "subgroups"];

/** How its adapter is named: hardware, or the software that lanes of a CPU's vectors stand for. */
export type CountingKind = "discrete" | "software";
const NAMES: Readonly<Record<CountingKind, string>> = {
  discrete: "a GeForce that computes nothing",
  software: "a SwiftShader that computes nothing",
};

/** What commands asked for so far, as the device sees them. */
export interface Commands {
  dispatches: number;
  copies: number;
  submits: number;
  maps: number;
  /** By the label of their pipelines: kernel and variant. */
  readonly byKernel: Map<string, number>;
}

/**
 * A GPU that takes every command, counts, and computes nothing, in no time: what is left of a step is JavaScript. Reads give
 * fractions, the same in every read, so that a matcher has choices to make.
 */
export function countingGpu(kind: CountingKind = "discrete"): { gpu: GPU; commands: Commands } {
  const commands: Commands = { dispatches: 0, copies: 0, submits: 0, maps: 0, byKernel: new Map() };
  const adapter = {
    info: { vendor: "", architecture: "", device: "", description: NAMES[kind], isFallbackAdapter: false },
    features: new Set(FEATURES),
    limits: LIMITS,
    requestDevice: async () => deviceOf(commands),
  };
  return { gpu: { requestAdapter: async () => adapter } as unknown as GPU, commands };
}

function deviceOf(commands: Commands): GPUDevice {
  let lose: (info: { reason: string; message: string }) => void = () => undefined;
  const lost = new Promise((resolve) => {
    lose = resolve;
  });
  const compiled = ({ label }: { label?: string }) => ({ label });
  return {
    limits: LIMITS,
    lost,
    queue: { writeBuffer: () => undefined, submit: () => void commands.submits++ },
    pushErrorScope: () => undefined,
    popErrorScope: async () => null,
    createBuffer: ({ size }: GPUBufferDescriptor) => bufferOf(size, commands),
    createShaderModule: compiled,
    createBindGroupLayout: compiled,
    createPipelineLayout: compiled,
    createBindGroup: compiled,
    createComputePipeline: compiled,
    createComputePipelineAsync: async (descriptor: GPUComputePipelineDescriptor) => compiled(descriptor),
    createCommandEncoder: () => encoderOf(commands),
    destroy: () => lose({ reason: "destroyed", message: "" }),
  } as unknown as GPUDevice;
}

/** What reads find: whole for the largest read so far. */
let fractions = new Float32Array();

function readFractions(bytes: number): ArrayBuffer {
  const length = bytes / 4;
  if (fractions.length < length) fractions = Float32Array.from({ length }, (_, i) => ((i * 7919) % 9973) / 9973);
  return fractions.buffer.slice(0, bytes);
}

function bufferOf(size: number, commands: Commands) {
  return {
    size,
    mapAsync: async () => void commands.maps++,
    getMappedRange: () => readFractions(size),
    unmap: () => undefined,
    destroy: () => undefined,
  };
}

function encoderOf(commands: Commands) {
  let kernel = "";
  const pass = {
    setPipeline: ({ label }: GPUComputePipeline) => {
      kernel = label;
    },
    setBindGroup: () => undefined,
    dispatchWorkgroups: () => {
      commands.dispatches++;
      commands.byKernel.set(kernel, (commands.byKernel.get(kernel) ?? 0) + 1);
    },
    end: () => undefined,
  };
  return {
    beginComputePass: () => pass,
    copyBufferToBuffer: () => void commands.copies++,
    finish: () => undefined,
  };
}
