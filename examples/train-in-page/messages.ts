import type { Detection } from "dfine";

/** Where a page can compute. */
export const DEVICES = ["cpu", "webgpu"] as const;
export type PageDevice = (typeof DEVICES)[number];

/** What the page asks of the worker, once. */
export interface Start {
  readonly device: PageDevice;
  /** How many different images to learn from. */
  readonly images: number;
}

/** An image to watch, which no training sees. */
export interface Sample {
  readonly id: number;
  readonly image: ImageData;
}

/** What the worker tells. */
export type Told =
  | { readonly kind: "samples"; readonly samples: readonly Sample[]; readonly names: readonly string[] }
  | { readonly kind: "step"; readonly step: number; readonly loss: number; readonly milliseconds: number }
  | {
      readonly kind: "found";
      readonly detections: readonly Detection[];
      readonly ap: number;
      /** A safetensors file. */
      readonly weights: Uint8Array<ArrayBuffer>;
    }
  | { readonly kind: "error"; readonly message: string };
