import * as z from "zod";
import { datasetFactsSchema } from "../data/facts.ts";
import { parseJson } from "../parseJson.ts";

const learnedFromSchema = z.object({
  stepsPerEpoch: z.int().min(0),
  /** Absent where the batches do not say of what they are. */
  train: datasetFactsSchema.optional(),
  /** Absent without validation data. */
  val: datasetFactsSchema.optional(),
});

/** What a run learns from, as its state remembers it. @interface */
export type LearnedFrom = z.infer<typeof learnedFromSchema>;

/** Reads it from its JSON, which may be null; undefined where that is damaged. */
export const parseLearnedFrom = (text: string): LearnedFrom | null | undefined =>
  learnedFromSchema.nullable().safeParse(parseJson(text)).data;
