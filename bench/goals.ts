import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { goalsTable, profilesText, speedTable, withKnownRows } from "./goalsTable.ts";
import { growthPlot, growthTable } from "./growth.ts";
import { BenchError } from "./options.ts";
import type { Row } from "./row.ts";

const USAGE = `npm run goals -- [--torch PYTHON] [--before DIR] [--only PIECE,PIECE] [--rounds 7] [--peers-folder DIR]
  [--folder runs/goals] [--again] [--write]`;
const ROOT = join(import.meta.dirname, "..");

function parse() {
  try {
    return parseArgs({
      options: {
        torch: { type: "string" },
        before: { type: "string" },
        only: { type: "string" },
        rounds: { type: "string", default: "7" },
        "peers-folder": { type: "string", default: "../shared/peers" },
        folder: { type: "string", default: "runs/goals" },
        again: { type: "boolean", default: false },
        write: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    throw new BenchError(`${(error as Error).message}; use: ${USAGE}`);
  }
}
type Options = ReturnType<typeof parse>;

/** A run of the bench that takes minutes, whose rows are kept in a file of its name. */
interface Piece {
  readonly name: string;
  readonly args: readonly string[];
  /** Another state of this repository, whose own bench runs. */
  readonly root?: string;
}

const KERNELS = ["matmul_1024", "conv3x3_64_64_160", "conv1x1_256_256_80", "conv5x5_depthwise_256_80"];
const SIZES = [320, 416, 512, 608, 704, 800];
const BATCHES = [1, 2, 4, 8];
/** Where only how ours grows is asked. */
const SHORT = ["--rounds", "3", "--seconds", "3"];

/** All that is measured, in the order in which it is asked for. */
function piecesOf({ torch, before, rounds, "peers-folder": folder }: Options): Piece[] {
  const peers = ["--peers", "--peers-folder", resolve(folder), "--rounds", rounds];
  const small = ["n", "s"];
  const large = ["m", "l", "x"];
  const beside = before ? ["--before", resolve(before)] : [];
  return [
    ...KERNELS.map((name) => ({ name: `kernels-${name}`, args: ["--only", "kernels", "--name", name, ...peers] })),
    ...small.map((p) => ({ name: `infer-${p}`, args: ["--only", "infer", "--preset", p, "--seconds", "5", ...peers] })),
    ...small.map((p) => ({
      name: `step-${p}`,
      args: [
        "--only",
        "train",
        "--preset",
        p,
        "--seconds",
        "10",
        "--rounds",
        rounds,
        ...(torch ? ["--torch", torch] : []),
      ],
    })),
    ...small.map((p) => ({
      name: `start-${p}`,
      args: ["--only", "start", "--preset", p, ...peers, ...beside],
    })),
    ...(before
      ? small.map((p) => ({
          name: `before-${p}`,
          args: ["--only", "infer,train", "--preset", p],
          root: resolve(before),
        }))
      : []),
    ...small.flatMap((p) => [
      ...BATCHES.map((n) => ({
        name: `batch-${p}-${n}`,
        args: ["--only", "train", "--preset", p, "--train-batch", String(n), ...SHORT],
      })),
      ...SIZES.map((n) => ({
        name: `size-${p}-${n}`,
        args: ["--only", "infer", "--preset", p, "--size", String(n), ...SHORT],
      })),
    ]),
    ...small.map((p) => ({
      name: `profile-${p}`,
      args: ["--only", "train", "--preset", p, "--profile", "--rounds", "1", "--seconds", "1", ...beside],
    })),
    ...large.map((p) => ({
      name: `large-${p}`,
      args: ["--only", "infer,train", "--preset", p, "--train-batch", "1", ...SHORT],
    })),
  ];
}

/** Rows of a piece, measured now. @throws BenchError */
function measure({ name, args, root = ROOT }: Piece): Promise<Row[]> {
  process.stderr.write(`\n> ${name}: bench ${args.join(" ")}\n`);
  return new Promise((done, reject) => {
    const child = spawn(process.execPath, [join(root, "bench/main.ts"), "--json", ...args], {
      cwd: root,
      stdio: ["ignore", "pipe", "inherit"],
    });
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) done((JSON.parse(text) as { rows: Row[] }).rows);
      else reject(new BenchError(`${name}: the bench failed; what it said stands above`));
    });
  });
}

/** Rows of what was measured before, and of what is wanted now and was not; what is done stays done. */
async function rowsOf(options: Options): Promise<Row[]> {
  const { folder, only, again } = options;
  await mkdir(folder, { recursive: true });
  const pieces = piecesOf(options);
  const wanted = only?.split(",") ?? pieces.map(({ name }) => name);
  const unknown = wanted.find((name) => !pieces.some((piece) => piece.name.startsWith(name)));
  if (unknown !== undefined)
    throw new BenchError(
      `--only: no piece begins with ${unknown}; there are ${pieces.map(({ name }) => name).join(", ")}`,
    );
  const rows: Row[] = [];
  for (const piece of pieces) {
    const file = join(folder, `${piece.name}.json`);
    const isWanted = wanted.some((name) => piece.name.startsWith(name));
    if (isWanted && (again || !existsSync(file))) await writeFile(file, JSON.stringify(await measure(piece), null, 1));
    if (!existsSync(file)) continue;
    const known = JSON.parse(await readFile(file, "utf8")) as Row[];
    rows.push(...known.map((row) => (piece.root ? { ...row, implementation: "before" as const } : row)));
  }
  return rows;
}

/** Puts what was measured where pages have `<!-- NAME -->` and `<!-- end of NAME -->`; what was not measured stays as it is there. */
async function write(parts: Readonly<Record<string, string>>): Promise<void> {
  for (const page of ["README.md", "docs/performance.md"].map((name) => join(ROOT, name))) {
    let text = await readFile(page, "utf8");
    for (const [name, part] of Object.entries(parts)) {
      const [before, rest] = text.split(`<!-- ${name} -->`);
      const [known, after] = rest?.split(`<!-- end of ${name} -->`) ?? [];
      if (known !== undefined && after !== undefined && part !== "")
        text = `${before}<!-- ${name} -->\n\n${withKnownRows(part, known)}\n\n<!-- end of ${name} -->${after}`;
    }
    await writeFile(page, text);
  }
}

try {
  const options = parse();
  const rows = await rowsOf(options);
  // Runs that are watched are not compared.
  const measured = rows.filter(({ profile }) => profile === undefined);
  const parts = {
    goals: goalsTable(measured),
    growth: `![By batch, by size and by preset](growth.svg)\n\n${growthTable(measured)}`,
    speeds: speedTable(measured),
    profiles: profilesText(rows),
  };
  process.stdout.write(`${Object.values(parts).join("\n\n")}\n`);
  if (options.write) {
    const isComplete = piecesOf(options).every(({ name }) => existsSync(join(options.folder, `${name}.json`)));
    const { goals, speeds } = parts;
    await write(isComplete ? parts : { goals, speeds });
    if (isComplete) await writeFile(join(ROOT, "docs/growth.svg"), growthPlot(measured));
    else
      process.stderr.write(
        "goals: growth and profiles stay as they are on their page, since not every piece was measured\n",
      );
  }
} catch (error) {
  if (!(error instanceof BenchError)) throw error;
  process.stderr.write(`goals: ${error.message}\n`);
  process.exitCode = 2;
}
