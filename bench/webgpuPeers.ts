import type { Contender, HostArray, Peer } from "./work.ts";

/** What peers on WebGPU can do; a convolution is of stride 1 and keeps the size. */
export type PeerTask = "matmul" | "conv" | "conv_input_gradient" | "conv_weight_gradient";

/** Dawn's `navigator.gpu` with a driver that ours has loaded; peers' own device, with their own settings. */
let dawn: Promise<GPU> | undefined;

async function openDawn(): Promise<GPU> {
  const { create, globals } = await import("webgpu");
  Object.assign(globalThis, globals);
  return create([]);
}

/** Runs `start` with `navigator.gpu` in place. Only then: ours would take it for a browser's. */
async function withNavigator<T>(start: () => Promise<T>): Promise<T> {
  dawn ??= openDawn();
  const gpu = await dawn;
  const own = Object.getOwnPropertyDescriptor(globalThis, "navigator")!;
  const { hardwareConcurrency, userAgent } = navigator;
  Object.defineProperty(globalThis, "navigator", {
    value: { gpu, hardwareConcurrency, userAgent },
    configurable: true,
  });
  try {
    return await start();
  } finally {
    Object.defineProperty(globalThis, "navigator", own);
  }
}

type Jax = typeof import("@jax-js/jax");
let jax: Promise<Jax> | undefined;
/** Of jax-js: WebAssembly, or WebGPU. */
type JaxDevice = "wasm" | "webgpu";

/** A process uses it on one device. */
function loadJax(device: JaxDevice): Promise<Jax> {
  const load = async (): Promise<Jax> => {
    const loaded = await import("@jax-js/jax");
    await loaded.init(device);
    loaded.defaultDevice(device);
    return loaded;
  };
  // onnxruntime-web leaves Node's workers behind as the page's, once it has its own; jax-js would start them from blobs, in vain.
  if (device === "wasm") Reflect.deleteProperty(globalThis, "Worker");
  jax ??= device === "webgpu" ? withNavigator(load) : load();
  return jax;
}

async function jaxContender(task: PeerTask, inputs: readonly HostArray[], device: JaxDevice): Promise<Contender> {
  const { numpy, lax, vjp } = await loadJax(device);
  type JaxArray = InstanceType<typeof numpy.Array>;
  const [first, second] = inputs.map(({ data, shape }) =>
    numpy.array(data as Float32Array<ArrayBuffer>, { shape: [...shape] }),
  ) as [JaxArray, JaxArray];
  const pad = (weightShape: readonly number[]): [number, number][] =>
    weightShape.slice(2).map((side) => [(side - 1) / 2, (side - 1) / 2]);
  const convolve = (x: JaxArray, weight: JaxArray): JaxArray =>
    lax.convGeneralDilated(x, weight, [1, 1], pad(weight.shape));
  const start = (): (() => JaxArray) => {
    switch (task) {
      case "matmul":
        return () => numpy.matmul(first.ref, second.ref);
      case "conv":
        return () => convolve(first.ref, second.ref);
      case "conv_input_gradient": {
        // Of dy and the weight; linear, so that it does not matter where it is taken.
        const [y, pull] = vjp((x: JaxArray) => convolve(x, second.ref), [first.ref]);
        y.dispose();
        return () => pull(first.ref)[0] as JaxArray;
      }
      case "conv_weight_gradient": {
        const channels = first.shape[1]!;
        const zeros = numpy.zeros([channels, second.shape[1]!, 3, 3]);
        const [y, pull] = vjp((weight: JaxArray) => convolve(second.ref, weight), [zeros]);
        y.dispose();
        return () => pull(first.ref)[0] as JaxArray;
      }
      default:
        task satisfies never;
        throw new Error(`unreachable: ${String(task)}`);
    }
  };
  const compute = start();
  return {
    implementation: "jax-js",
    run: async () => {
      const result = compute();
      await result.blockUntilReady();
      result.dispose();
    },
    outputs: async () => [(await compute().data()) as Float32Array],
    dispose: () => {
      first.dispose();
      second.dispose();
    },
  };
}

type Tf = typeof import("@tensorflow/tfjs-core");
let tf: Promise<Tf> | undefined;

function loadTf(): Promise<Tf> {
  tf ??= withNavigator(async () => {
    const loaded = await import("@tensorflow/tfjs-core");
    await import("@tensorflow/tfjs-backend-webgpu");
    await loaded.setBackend("webgpu");
    await loaded.ready();
    return loaded;
  });
  return tf;
}

/** Axes of [B, C, H, W] and [Co, Ci, kh, kw] as tfjs has them, and back. */
const CHANNELS_LAST = [0, 2, 3, 1];
const CHANNELS_FIRST = [0, 3, 1, 2];
const FILTER = [2, 3, 1, 0];
const FROM_FILTER = [3, 2, 0, 1];

async function tfContender(task: PeerTask, inputs: readonly HostArray[]): Promise<Contender> {
  const tf = await loadTf();
  type T4 = import("@tensorflow/tfjs-core").Tensor4D;
  type T2 = import("@tensorflow/tfjs-core").Tensor2D;
  const place = ({ data, shape }: HostArray, axes?: readonly number[]) =>
    tf.tidy(() => {
      const placed = tf.tensor(data, [...shape]);
      return axes === undefined ? placed : tf.transpose(placed, [...axes]);
    });
  const [first, second] = inputs as [HostArray, HostArray];
  const isConv = task !== "matmul";
  const a = place(first, isConv ? CHANNELS_LAST : undefined);
  const b = place(second, isConv ? (task === "conv_weight_gradient" ? CHANNELS_LAST : FILTER) : undefined);
  const compute = () => {
    switch (task) {
      case "matmul":
        return tf.matMul(a as T2, b as T2);
      case "conv":
        return tf.conv2d(a as T4, b as T4, 1, "same");
      case "conv_input_gradient":
        return tf.conv2dTranspose(a as T4, b as T4, a.shape as [number, number, number, number], 1, "same");
      case "conv_weight_gradient":
        return tf.engine().runKernel(
          "Conv2DBackpropFilter",
          { x: b, dy: a },
          {
            ...{ strides: 1, pad: "same", dataFormat: "NHWC", dimRoundingMode: undefined as never },
            filterShape: [3, 3, b.shape[3]!, a.shape[3]!],
          },
        ) as T4;
      default:
        task satisfies never;
        throw new Error(`unreachable: ${String(task)}`);
    }
  };
  const results = async (use: (result: ReturnType<typeof compute>) => Promise<Float32Array>) => {
    const result = compute();
    try {
      return await use(result);
    } finally {
      result.dispose();
    }
  };
  const read = async (tensor: import("@tensorflow/tfjs-core").Tensor): Promise<Float32Array> => {
    const data = (await tensor.data()) as Float32Array;
    tensor.dispose();
    return data;
  };
  return {
    implementation: "tfjs",
    // An element is enough to know that the work is done.
    run: () => results((result) => read(tf.slice(tf.reshape(result, [-1]), 0, 1))),
    outputs: async () => [
      await results((result) => {
        if (!isConv) return read(result.clone());
        return read(tf.transpose(result, task === "conv_weight_gradient" ? FROM_FILTER : CHANNELS_FIRST));
      }),
    ],
    dispose: () => {
      a.dispose();
      b.dispose();
    },
  };
}

/** jax-js and tfjs on Dawn: of matmul's a and b, of a convolution's x and weight, of its gradients' dy and the other factor. */
export const webgpuPeers = (task: PeerTask, inputs: readonly HostArray[]): Peer[] => [
  { implementation: "jax-js", start: () => jaxContender(task, inputs, "webgpu") },
  { implementation: "tfjs", start: () => tfContender(task, inputs) },
];

/** jax-js in WebAssembly, in Node on one thread; of the same inputs. */
export const jaxOnCpu = (task: PeerTask, inputs: readonly HostArray[]): Peer => ({
  implementation: "jax-js",
  start: () => jaxContender(task, inputs, "wasm"),
});
