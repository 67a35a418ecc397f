/** What environment variables ask for, where there are any. */
export interface Environment {
  /** TRACE: list kernels with their times. */
  readonly trace: boolean;
  /** DISABLE=op,op: ops that run their fallback. */
  readonly disable: readonly string[];
  /** Tells people, aside from a program's output. */
  readonly report: (text: string) => void;
}

export function environment(): Environment {
  const { process } = globalThis;
  const variable = (name: string): string => process?.env?.[name] ?? "";
  return {
    trace: !["", "0"].includes(variable("TRACE")),
    disable: variable("DISABLE").split(",").filter(Boolean),
    report: (text) => void process?.stderr?.write(`${text}\n`),
  };
}
