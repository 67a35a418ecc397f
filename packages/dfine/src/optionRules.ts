import type { OptionRule } from "@dfine/tensor";

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
