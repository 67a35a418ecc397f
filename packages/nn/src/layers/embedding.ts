import {
  checkOptions,
  equal,
  indexSelect,
  numberOrThing,
  type OptionRules,
  type Tensor,
  where,
  whole,
} from "@dfine/tensor";
import { type Initializer, initialValues, normalInit } from "../init.ts";
import { Module } from "../module.ts";
import { parameter } from "../parameter.ts";

/** What an `Embedding` may be told. */
export interface EmbeddingOptions {
  /** A row that starts at zero and gets no gradient. */
  readonly paddingIndex?: number;
  /** Default standard normal. */
  readonly init?: Initializer;
}

const OPTIONS: OptionRules<EmbeddingOptions> = { paddingIndex: whole(0), init: numberOrThing };

/** A row of a table for each index: i32 [...] → [..., features]. */
export class Embedding extends Module<[indices: Tensor], Tensor> {
  readonly weight: Tensor;
  readonly #paddingIndex: number | undefined;

  constructor(rows: number, features: number, options: EmbeddingOptions = {}) {
    super();
    checkOptions("Embedding", options, OPTIONS);
    const { paddingIndex, init = normalInit() } = options;
    this.#paddingIndex = paddingIndex;
    this.weight = parameter([rows, features], paddingIndex === undefined ? init : withZeroRow(init, paddingIndex));
  }

  /** indices [...] i32 → [..., D]. */
  protected forward(indices: Tensor): Tensor {
    const flat = indices.reshape([-1]);
    const rows = indexSelect(this.weight, flat);
    const padding = this.#paddingIndex;
    const picked = padding === undefined ? rows : where(equal(flat, padding).unsqueeze(1), rows.detach(), rows);
    return picked.reshape([...indices.shape, this.weight.shape[1]!]);
  }
}

const withZeroRow =
  (init: Initializer, row: number): Initializer =>
  (shape, random) => {
    const values = initialValues(init, { shape, random });
    const features = shape[1]!;
    return values.fill(0, row * features, (row + 1) * features);
  };
