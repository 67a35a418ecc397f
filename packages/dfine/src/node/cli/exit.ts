import { CommanderError } from "commander";
import { ConfigError } from "../../config/config.ts";

/** What the command's exit code says. */
export const EXIT = { ok: 0, failure: 1, usage: 2, interrupted: 130 } as const;

/** The command was called wrongly: exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Errors whose message says everything; any other is a fault of ours and shows where it happened. */
const EXPECTED = new Set([
  "BackendError",
  "ConfigError",
  "DatasetError",
  "DeviceError",
  "DeviceLostError",
  "ImageError",
  "ModelFileError",
  "NonFiniteError",
  "NonFiniteWeightsError",
  "OutOfMemoryError",
  "RunFolderError",
  "SafetensorsError",
  "TrainStateError",
  "UsageError",
]);

/** The exit code of an error, and what to print; commander has printed its own. */
export function explain(error: unknown): { code: number; message: string } {
  if (error instanceof CommanderError) return { code: error.exitCode === 0 ? EXIT.ok : EXIT.usage, message: "" };
  if (!(error instanceof Error)) return { code: EXIT.failure, message: String(error) };
  const usage = error instanceof UsageError || error instanceof ConfigError;
  const known = EXPECTED.has(error.name) || "code" in error;
  return {
    code: usage ? EXIT.usage : EXIT.failure,
    message: known ? error.message : (error.stack ?? error.message),
  };
}
