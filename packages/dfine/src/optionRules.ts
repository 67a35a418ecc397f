import { type Backend, type OptionRule, thing } from "@dfine/tensor";
import type { Config } from "./config/config.ts";

export {
  between,
  callable,
  checkOptions,
  checkValue,
  flag,
  listOf,
  needed,
  type OptionRule,
  type OptionRules,
  oneOf,
  text,
  thing,
  whole,
} from "@dfine/tensor";

export const wholeConfig: OptionRule = {
  takes: "a whole configuration, as resolveConfig makes it",
  fits: (value) => thing.fits((value as Config | null)?.model) && thing.fits((value as Config).train),
};
export const someBackend: OptionRule = {
  takes: "a backend",
  fits: (value) => typeof (value as Backend | null)?.alloc === "function",
};
export const texts: OptionRule = {
  takes: "a list of texts",
  fits: (value) => Array.isArray(value) && value.every((one) => typeof one === "string"),
};
export const abortSignal: OptionRule = {
  takes: "an AbortSignal",
  fits: (value) => typeof (value as AbortSignal | null)?.throwIfAborted === "function",
};
