import { expect, test } from "vitest";
import { thrown } from "../../test/badInput.ts";
import { MissingPackageError } from "./optional.ts";
import type { RunEvent } from "./runEvents.ts";
import { type WandbSdk, wandbLog } from "./wandb.ts";

const step: RunEvent = {
  ...{ kind: "step", epoch: 0, step: 3, stepInEpoch: 3, stepsPerEpoch: 4, stepsInAll: 8, images: 2, seconds: 1 },
  ...{ learningRate: 0.25, loss: 1.75, losses: { loss_vfl: 1.75 }, gradientNorm: 3, skipped: false, replayed: false },
};
const epoch: RunEvent = {
  ...{ kind: "epoch", epoch: 0, step: 4, losses: {}, loss: 1.5, skipped: 0, learningRate: 0.25, seconds: 1 },
  ...{ best: true, complete: true, evaluation: undefined },
};

/** Takes what it is told, and listens for Ctrl-C as the package does. */
function listener() {
  const told: unknown[] = [];
  const sdk: WandbSdk = {
    init: async (options) => {
      told.push(options);
      process.once("SIGINT", () => process.exit());
      return { log: (data, at) => told.push([at, data]), finish: async () => void told.push("finished") };
    },
  };
  return { told, sdk };
}

test("is told of steps and epochs, once each, and never ends the process", async () => {
  const before = process.listeners("SIGINT");
  const { told, sdk } = listener();
  const log = await wandbLog({ project: "p", name: "n", config: { a: 1 }, sdk });
  expect(process.listeners("SIGINT")).toEqual(before);
  for (const event of [step, { ...step, replayed: true }, epoch, { kind: "warning", text: "x" } as const])
    log.take(event);
  await log.finish();
  expect(told).toEqual([
    { project: "p", name: "n", config: { a: 1 } },
    [3, { loss: 1.75, loss_vfl: 1.75, learningRate: 0.25, gradientNorm: 3 }],
    [4, { epoch: 1, "epoch loss": 1.5 }],
    "finished",
  ]);
});

test("says how to install its package", async () => {
  const error = await thrown(() => wandbLog({ project: "p" }));
  expect(error).toBeInstanceOf(MissingPackageError);
  expect(error.message).toMatch(/^logging to Weights & Biases needs the package @wandb\/sdk.*npm install @wandb\/sdk/);
});
