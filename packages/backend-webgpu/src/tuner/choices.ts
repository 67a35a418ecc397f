import { BackendError } from "@dfine/tensor";

/** Which kernel products of one class run, and what was measured; times in milliseconds. */
export interface Choice {
  readonly kernel: string;
  readonly milliseconds: number;
  /** The kernel that the rules choose without measuring. */
  readonly usual: string;
  readonly usualMilliseconds: number;
}

/** What was measured on one adapter, as it is kept in a file, exported and shipped. */
export interface TunedChoices {
  readonly format: "dfine webgpu products 1";
  /** What the adapter says of itself, its driver where it tells that. */
  readonly adapter: string;
  /** By class: the op, then octaves of m, n, k and the batch, as "matmul 1024 1024 1024 1". */
  readonly choices: Readonly<Record<string, Choice>>;
}

const FORMAT = "dfine webgpu products 1";

/** What is known of an adapter before anything is measured: nothing. */
export const noChoices = (adapter: string): TunedChoices => ({ format: FORMAT, adapter, choices: {} });

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const FIELDS: Readonly<Record<keyof Choice, "string" | "number">> = {
  ...{ kernel: "string", milliseconds: "number", usual: "string", usualMilliseconds: "number" },
};

const isChoice = (value: unknown): value is Choice =>
  isObject(value) &&
  Object.entries(FIELDS).every(([field, type]) => typeof value[field] === type) &&
  [value.milliseconds, value.usualMilliseconds].every((time) => Number.isFinite(time) && (time as number) >= 0);

/**
 * Reads the text of such a file. `from` names it in errors.
 * @throws BackendError where it is none, with what is wrong
 */
export function readChoices(text: string, from: string): TunedChoices {
  const refuse = (fault: string): never => {
    throw new BackendError(`webgpu: ${from} ${fault}; write one with: dfine tune --export FILE`);
  };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return refuse(`is no JSON (${(error as Error).message})`);
  }
  if (!isObject(value) || value.format !== FORMAT)
    return refuse(`is no file of tuned products: its "format" is not "${FORMAT}"`);
  if (typeof value.adapter !== "string") return refuse('lacks "adapter", a text');
  if (!isObject(value.choices)) return refuse('lacks "choices", an object');
  for (const [name, choice] of Object.entries(value.choices))
    if (!isChoice(choice))
      return refuse(
        `has under "choices" ${JSON.stringify(name)}, which is not ${JSON.stringify(FIELDS).replaceAll('"', "")}`,
      );
  return value as unknown as TunedChoices;
}

/** The text of a file that `readChoices` reads. */
export const writeChoices = (choices: TunedChoices): string => `${JSON.stringify(choices, null, 1)}\n`;
