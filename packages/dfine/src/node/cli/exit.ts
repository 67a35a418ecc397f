import { CommanderError } from "commander";

export const EXIT = { ok: 0, failure: 1, usage: 2, interrupted: 130 } as const;

/** The command was called wrongly: exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/**
 * Exit codes of the errors that people can meet; their message says everything. "fault": only a fault of ours can raise it
 * in a command, which then shows where it happened.
 */
export const ERRORS: Readonly<Record<string, 1 | 2 | "fault">> = {
  ArgumentError: "fault",
  AssignmentError: "fault",
  BackendError: EXIT.failure,
  BatchError: EXIT.failure,
  ConfigError: EXIT.usage,
  DatasetError: EXIT.failure,
  DeviceError: EXIT.failure,
  DeviceLostError: EXIT.failure,
  DtypeError: "fault",
  ExperimentError: EXIT.usage,
  ExportError: EXIT.failure,
  FileWriteError: EXIT.failure,
  GradientError: "fault",
  ImageError: EXIT.failure,
  MatcherError: "fault",
  MissingPackageError: EXIT.failure,
  ModelFileError: EXIT.failure,
  NoFfmpegError: EXIT.failure,
  NonFiniteError: EXIT.failure,
  NonFiniteWeightsError: EXIT.failure,
  OutOfMemoryError: EXIT.failure,
  OwnershipError: "fault",
  PostprocessError: "fault",
  RunFolderError: EXIT.failure,
  SafetensorsError: EXIT.failure,
  ServeError: EXIT.failure,
  SeveralFilesError: EXIT.failure,
  ShapeError: "fault",
  StateDictError: EXIT.failure,
  TensorError: "fault",
  UsageError: EXIT.usage,
  VideoWriteError: EXIT.failure,
  YamlError: EXIT.failure,
};

/** The exit code of an error, and what to print; commander has printed its own. */
export function explain(error: unknown): { code: number; message: string } {
  if (error instanceof CommanderError) return { code: error.exitCode === 0 ? EXIT.ok : EXIT.usage, message: "" };
  if (!(error instanceof Error)) return { code: EXIT.failure, message: String(error) };
  // Errors of the system carry a code, and say what they are about.
  const code = ERRORS[error.name] ?? ("code" in error ? EXIT.failure : "fault");
  if (code === "fault") return { code: EXIT.failure, message: error.stack ?? error.message };
  return { code, message: error.message };
}
