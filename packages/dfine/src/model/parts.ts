import type { Module } from "@dfine/nn";
import type { Tensor } from "@dfine/tensor";
import * as z from "zod";
import type { MatchTargets } from "../loss/matches.ts";
import type { DenoisingDraws, DenoisingQueries, ForwardOptions, Predictions, TrainingOutputs } from "./outputs.ts";

/** A map that one part hands on to the next. */
export interface Level {
  readonly channels: number;
  /** In input pixels. */
  readonly stride: number;
}

/** Turns images [B, 3, H, W] into maps [B, C, h, w], finest first. */
export type Backbone = Module<[images: Tensor], Tensor[]>;

/** Turns the backbone's maps [B, C, h, w], finest first, into others. */
export type Encoder = Module<[maps: readonly Tensor[]], Tensor[]> & {
  /** Makes it smaller, for inference alone. */
  fuse?(): void;
};

/** What a decoder is given in a forward pass. */
export interface DecoderInput extends ForwardOptions {
  /** Maps of the encoder [B, C, h, w], finest first. */
  readonly maps: readonly Tensor[];
}

/** Turns maps into predictions. */
export type Decoder = Module<[input: DecoderInput], TrainingOutputs | Predictions> & {
  /** Drops what only training uses. */
  prune(): void;
};

/** What a decoder is made for. */
export interface DecoderContext {
  readonly levels: readonly Level[];
  /** How many there are. */
  readonly classes: number;
  /** Usual height and width of images, pixels. */
  readonly evalSize: readonly [number, number];
  /** Whether it ever gets denoising queries. */
  readonly denoises: boolean;
}

/** How noisy copies of the targets are made. */
export interface Denoiser {
  /** Undefined where it makes none. */
  readonly queries:
    | ((targets: readonly MatchTargets[], options: { classes: number; draws: DenoisingDraws }) => DenoisingQueries)
    | undefined;
}

/** A part whose configuration is known, for what the part before it hands on. */
export interface Plan<Input, Made> {
  /** What its numbers are at odds with, for messages; by default nothing. */
  readonly problems?: (input: Input) => string[];
  /** What it hands on, finest first; by default what it was given. */
  readonly levels?: (input: Input) => readonly Level[];
  readonly make: (input: Input) => Made;
}

/** A row of a table of things that are configured: a schema, and what there is once the configuration is known. */
export interface Row<Schema extends z.ZodObject, Planned> {
  readonly schema: Schema;
  readonly plan: (config: z.output<Schema>) => Planned;
}

/** One choice for a part: a row of its table. Its configuration says so by `type`. */
export interface Part<Schema extends z.ZodObject, Planned> extends Row<Schema, Planned> {
  /** The configuration where only the type is said. It takes the place of a part that has `levels` levels. */
  readonly defaults: (levels: number) => z.output<Schema>;
}

/** A choice by name among the rows of a table that have no configuration of their own. */
export const choiceOf = <Table extends object>(table: Table): z.ZodType<keyof Table & string> =>
  z.custom<keyof Table & string>((value) => typeof value === "string" && Object.hasOwn(table, value), {
    error: `Invalid option: expected one of ${Object.keys(table)
      .map((name) => JSON.stringify(name))
      .join("|")}`,
  });

type Rows<Schemas extends Record<string, z.ZodObject>, Planned> = {
  readonly [Name in keyof Schemas]: Row<Schemas[Name], Planned>;
};
/** Rows whatever their configurations: from here the compiler takes what all of them plan. */
type Planning<Planned> = Readonly<Record<string, { readonly plan: (config: never) => Planned }>>;

/** The configuration of a choice, its name under `Key` included. */
export type ChoiceConfig<
  Key extends string,
  Schemas extends Record<string, z.ZodObject>,
  Name extends keyof Schemas,
> = {
  [N in Name]: z.output<Schemas[N]> & Record<Key, N>;
}[Name];

/** Choices by their names, which configurations say under `key`; those that say nothing mean `usual`. */
export function choiceTable<Key extends string, Schemas extends Record<string, z.ZodObject>, Planned>(
  key: Key,
  rows: Rows<Schemas, Planned> & Planning<Planned>,
  usual: keyof Schemas & string,
) {
  const table: Rows<Schemas, Planned> = rows;
  const all = Object.values<Row<Schemas[keyof Schemas], Planned>>(table);
  const [first, ...others] = all.map(({ schema }) => schema);
  const named = (value: unknown): unknown =>
    typeof value === "object" && value !== null && !(key in value) ? { [key]: usual, ...value } : value;
  return {
    names: Object.keys(rows),
    schema: z.preprocess(named, z.discriminatedUnion(key, [first!, ...others])),
    plan: <Name extends keyof Schemas>(config: ChoiceConfig<Key, Schemas, Name>): Planned =>
      table[config[key]].plan(config),
  };
}

export function partTable<Schemas extends Record<string, z.ZodObject>, Planned>(
  rows: { readonly [Name in keyof Schemas]: Part<Schemas[Name], Planned> } & Planning<Planned>,
  usual: keyof Schemas & string,
) {
  return {
    ...choiceTable<"type", Schemas, Planned>("type", rows, usual),
    /** The configuration of a part of which only the type is said. */
    defaults: (type: string, levels: number): object | undefined =>
      Object.hasOwn(rows, type) ? rows[type]?.defaults(levels) : undefined,
  };
}

/** The problems of the rules that do not hold. */
export const broken = (rules: readonly (readonly [holds: boolean, problem: string])[]): string[] =>
  rules.flatMap(([holds, problem]) => (holds ? [] : [problem]));

/** The problem of a backbone that hands on stages which it does not have. */
export function beyond(returnStages: readonly number[], stages: number): string[] {
  if (returnStages.every((stage) => stage < stages)) return [];
  return [`model.backbone.returnStages [${returnStages}] name stages beyond the ${stages} there are`];
}
