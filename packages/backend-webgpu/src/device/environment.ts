/** What environment variables ask for, where there are any. */
export function environment() {
  const { process } = globalThis;
  const variable = (name: string): string => process?.env?.[name] ?? "";
  return {
    /** TRACE: list kernels with their times. */
    trace: !["", "0"].includes(variable("TRACE")),
    /** DISABLE=op,op: ops that run their fallback. */
    disable: variable("DISABLE").split(",").filter(Boolean),
    /** Tells people, aside from a program's output. */
    report: (text: string): void => void process?.stderr?.write(`${text}\n`),
  };
}
