import { type Dtype, noGrad, type OpCall, recordCalls, type Tensor } from "@dfine/tensor";

/** Ops whose outputs are other handles on the elements of their inputs, or copies that are cheaper made than stored. */
const VIEWS: ReadonlySet<string> = new Set(["reshape", "permute", "expand", "slice", "split"]);

/** A call with numbers in place of tensors. */
export type RecordedCall = Omit<OpCall, "inputs" | "outputs"> & {
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
};

const layoutOf = ({ offset, shape, strides }: Tensor): string => `${offset}:${shape}:${strides}`;

/** The calls of one run, and the tensors that they are about, numbered as they are met. */
export class Recording implements Disposable {
  readonly tensors: { readonly dtype: Dtype; readonly shape: readonly number[] }[] = [];
  readonly calls: RecordedCall[] = [];
  readonly outputs: readonly number[];
  /** Handles on all that follows from no input and is no view. */
  readonly kept = new Map<number, Tensor>();
  readonly #numbers = new Map<object, Map<string, number>>();
  readonly #varying = new Set<number>();

  /** Records what `run` computes of `inputs`, which are numbered first. */
  constructor(inputs: readonly Tensor[], run: () => readonly Tensor[], anySize = false) {
    for (const tensor of inputs) this.#add(tensor, { varies: true, keeps: false });
    const outputs = noGrad(() => recordCalls(run, { see: (call) => this.#see(call), anySize }));
    this.outputs = outputs.map((tensor) => this.#numberOf(tensor));
  }

  /** The number of a tensor, the same for all handles on the same elements; undefined if it was not met. */
  numberOf(tensor: Tensor): number | undefined {
    return this.#numbers.get(tensor.storage)?.get(layoutOf(tensor));
  }

  /** What is met first as an input was there before. */
  #numberOf(tensor: Tensor): number {
    return this.numberOf(tensor) ?? this.#add(tensor, { varies: false, keeps: true });
  }

  #add(tensor: Tensor, { varies, keeps }: { varies: boolean; keeps: boolean }): number {
    const number = this.tensors.push({ dtype: tensor.dtype, shape: tensor.shape }) - 1;
    const layouts = this.#numbers.get(tensor.storage) ?? new Map<string, number>();
    this.#numbers.set(tensor.storage, layouts.set(layoutOf(tensor), number));
    if (varies) this.#varying.add(number);
    else if (keeps) this.kept.set(number, tensor.alias({ scoped: false }));
    return number;
  }

  #see({ inputs, outputs, ...call }: OpCall): void {
    const from = inputs.map((tensor) => this.#numberOf(tensor));
    if (outputs.every((tensor) => this.numberOf(tensor) !== undefined)) return;
    const varies = from.some((number) => this.#varying.has(number));
    const to = outputs.map((tensor) => this.#add(tensor, { varies, keeps: !VIEWS.has(call.name) }));
    this.calls.push({ ...call, inputs: from, outputs: to } as RecordedCall);
  }

  [Symbol.dispose](): void {
    for (const tensor of this.kept.values()) tensor.dispose();
  }
}
