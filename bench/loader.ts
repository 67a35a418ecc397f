// Images/s of the loader alone, and the share of training steps that waits for images, with 0, 1, 2 workers.
import { mkdtemp, rm } from "node:fs/promises";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Config, resolveBackend, resolveConfig, Trainer } from "dfine";
import { type DatasetSplit, makeDigits, readCoco, trainLoaders } from "dfine/node";

const USAGE = `npm run loader -- [--images DIR --annotations FILE] [--size 640] [--batch 8] [--batches 12] [--steps 4] [--workers 0,1,2]
  [--cache MB]: by default every image is decoded each time, as in a data set that does not fit the memory`;

function parse() {
  try {
    return parseArgs({
      options: {
        images: { type: "string" },
        annotations: { type: "string" },
        size: { type: "string", default: "640" },
        batch: { type: "string", default: "8" },
        batches: { type: "string", default: "12" },
        steps: { type: "string", default: "4" },
        workers: { type: "string", default: "0,1,2" },
        cache: { type: "string", default: "0" },
      },
    }).values;
  } catch (error) {
    process.stderr.write(`${(error as Error).message}; use: ${USAGE}\n`);
    return process.exit(2);
  }
}

const values = parse();
const [side, batch, batches, steps] = [values.size, values.batch, values.batches, values.steps].map(Number);

/** Gives batches without end, epoch after epoch, and frees what made them. */
async function* endless(config: Config, train: DatasetSplit, workers: number) {
  using data = trainLoaders(config, { train, workers, cacheBytes: Number(values.cache) * 2 ** 20 });
  for (let epoch = 0; ; epoch++) yield* data.train.batches(epoch);
}

/** Images per second, after the first batch, which starts threads. */
async function imagesPerSecond(config: Config, train: DatasetSplit, workers: number): Promise<number> {
  const source = endless(config, train, workers);
  await source.next();
  const start = performance.now();
  for (let i = 0; i < batches!; i++) await source.next();
  const seconds = (performance.now() - start) / 1000;
  await source.return();
  return (batches! * batch!) / seconds;
}

/** Seconds of a training step, and the share of it that waits for images, after the first two. */
async function waiting(config: Config, train: DatasetSplit, workers: number) {
  using backend = await resolveBackend("cpu").then((made) => ({ made, [Symbol.dispose]: () => made.dispose() }));
  using trainer = await Trainer.create({ config, backend: backend.made });
  const source = endless(config, train, workers);
  let [waited, start] = [0, 0];
  for (let i = 0; i < 2 + steps!; i++) {
    if (i === 2) [waited, start] = [0, performance.now()];
    const asked = performance.now();
    const { value } = await source.next();
    waited += performance.now() - asked;
    await trainer.step(value!, 100);
  }
  const all = performance.now() - start;
  await source.return();
  return { step: all / 1000 / steps!, share: waited / all };
}

const folder = await mkdtemp(join(tmpdir(), "dfine-loader-"));
try {
  const { images, annotations } = values;
  const train =
    images !== undefined && annotations !== undefined
      ? { imageRoot: images, dataset: await readCoco(annotations) }
      : (await makeDigits({ folder: join(folder, "digits"), train: 64, val: 1, size: side! })).train;
  const classes = train.dataset.categories.map(({ name }) => name);
  const config = resolveConfig({ model: { classes, evalSize: [side!, side!] }, train: { batch: batch! } });
  const load = () => loadavg()[0]!.toFixed(1);
  process.stdout.write(
    `${cpus()[0]?.model}, ${cpus().length} cores, Node ${process.version}; n, ${side}x${side}, batch ${batch}, load ${load()}\n\n` +
      "| workers | images/s, loader alone | seconds of a CPU step | share that waits for images |\n|---|---|---|---|\n",
  );
  for (const workers of values.workers.split(",").map(Number)) {
    const rate = await imagesPerSecond(config, train, workers);
    const { step, share } = await waiting(config, train, workers);
    process.stdout.write(`| ${workers} | ${rate.toFixed(1)} | ${step.toFixed(2)} | ${(100 * share).toFixed(1)} % |\n`);
  }
  process.stdout.write(`\nload at the end ${load()}\n`);
} finally {
  await rm(folder, { recursive: true });
}
