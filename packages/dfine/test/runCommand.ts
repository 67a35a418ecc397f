import { vi } from "vitest";
import { main } from "../src/node/cli/main.ts";

/** Runs the `dfine` command and takes what it writes on standard output and standard error. */
export async function runCommand(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  const written = { out: "", err: "" };
  const take = (name: "out" | "err") => (text: string | Uint8Array) => {
    written[name] += text;
    return true;
  };
  const spies = [
    vi.spyOn(process.stdout, "write").mockImplementation(take("out")),
    vi.spyOn(process.stderr, "write").mockImplementation(take("err")),
  ];
  try {
    return { code: await main(argv), ...written };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}
