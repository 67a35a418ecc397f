import type { Kernel } from "@dfine/tensor/kernel";
import type { WasmKernel } from "../runtime.ts";
import { makeWords, type Words } from "./launchWords.ts";
import { type LaneChoice, makeNest, type Nest } from "./nest.ts";
import { printKernel } from "./print.ts";

/** A generated kernel: what to run, and how to lay out a launch's words. */
export interface GeneratedKernel {
  readonly wasm: WasmKernel;
  readonly nest: Nest;
  readonly words: Words;
  /** Work per element, about 1 for a copy. */
  readonly weight: number;
}

/** Tells kernels apart that differ in where their lanes lie. */
export const laneText = ({ lanes, vectorAxis }: LaneChoice): string => `${lanes} ${vectorAxis}`;

const NODES_PER_UNIT_OF_WORK = 8;

export function generate(kernel: Kernel, choice: LaneChoice): GeneratedKernel {
  const nest = makeNest(kernel, choice);
  const words = makeWords(nest);
  const operations = [...nest.facts.keys()].filter((e) => e.args.length > 0).length;
  return {
    wasm: {
      key: `${kernel.key}|${laneText(choice)}`,
      name: kernel.name,
      build: (options) => printKernel(nest, words, options),
    },
    nest,
    words,
    weight: 1 + operations / NODES_PER_UNIT_OF_WORK,
  };
}
