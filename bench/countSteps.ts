import { parseArgs } from "node:util";
import type { PresetName } from "dfine";
import { type StepSubject, stepCounts } from "./stepCounts.ts";

// What a training step asks of a GPU and of JavaScript, on one that computes nothing. See docs/results.md.
const { values } = parseArgs({
  options: {
    preset: { type: "string", default: "n,s" },
    /** Side of the images and how many there are. */
    size: { type: "string", default: "320x4,640x8" },
    steps: { type: "string", default: "200" },
    /** Lists the kernels too. */
    kernels: { type: "boolean", default: false },
  },
});

const subjects = values.preset.split(",").flatMap((preset) =>
  values.size.split(",").map((text): StepSubject => {
    const [size, batch] = text.split("x").map(Number) as [number, number];
    return { preset: preset as PresetName, size, batch };
  }),
);
const print = (text: string): void => void process.stdout.write(`${text}\n`);
print("| preset | size | batch | dispatches | copies | submits | reads | host, ms |");
print("| --- | --- | --- | --- | --- | --- | --- | --- |");
for (const subject of subjects) {
  const { dispatches, copies, submits, reads, hostMilliseconds, kernels } = await stepCounts(
    subject,
    Number(values.steps),
  );
  const { preset, size, batch } = subject;
  const cells = [preset, size, batch, dispatches, copies, submits, reads, hostMilliseconds.toFixed(1)];
  print(`| ${cells.join(" | ")} |`);
  if (values.kernels) for (const [kernel, count] of kernels) print(`${String(count).padStart(6)}  ${kernel}`);
}
