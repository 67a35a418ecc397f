/** What is chosen by where threads run: on a GPU, or in software, where they are lanes of a CPU's vectors. */
export interface Tuning {
  /** Whether threads may share workgroup memory. In software a barrier is slow, and workgroups are what its cores share. */
  readonly barriers: boolean;
  /** Whether compiling ahead pays. In software it takes the cores that kernels run on: a first step with it lasts longer. */
  readonly compileAhead: boolean;
  /** Workgroups that keep a large GPU busy, or the cores. */
  readonly busyGroups: number;
  /** Output rows of a thread of a depthwise convolution. In software loads cost most; a GPU wants many threads. */
  readonly depthwiseRows: number;
  /** Pixels that a thread sums over: few enough for a GPU to have many threads, many enough to make folding cheap. */
  readonly summedPixels: number;
  /** Whether kernels add rows by index. In software the fallback, one thread that adds update by update, is as fast. */
  readonly addsByIndex: boolean;
}

export const GPU: Tuning = {
  ...{ barriers: true, compileAhead: true, addsByIndex: true },
  ...{ busyGroups: 160, depthwiseRows: 4, summedPixels: 64 },
};

export const SOFTWARE: Tuning = {
  ...{ barriers: false, compileAhead: false, addsByIndex: false },
  ...{ busyGroups: 8, depthwiseRows: 8, summedPixels: 256 },
};
