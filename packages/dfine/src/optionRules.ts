import type { Backend, OptionRule } from "@dfine/tensor";

/** Where to compute. */
export const someBackend: OptionRule = {
  takes: "a backend",
  fits: (value) => typeof (value as Backend | null)?.alloc === "function",
};
/** A list of texts. */
export const texts: OptionRule = {
  takes: "a list of texts",
  fits: (value) => Array.isArray(value) && value.every((one) => typeof one === "string"),
};
/** What ends a call early. */
export const abortSignal: OptionRule = {
  takes: "an AbortSignal",
  fits: (value) => typeof (value as AbortSignal | null)?.throwIfAborted === "function",
};
