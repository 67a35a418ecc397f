import { join } from "node:path";
import { Application, TSConfigReader } from "typedoc";

/**
 * Writes the API pages of all packages into .cache/api. Warnings are errors: what is exported is documented, and what it
 * mentions is exported too, but for inner parts that no reader calls, listed here by package.
 */
const packages: Readonly<Record<string, readonly string[]>> = {
  "@dfine/tensor": ["Edge", "Handle", "Layout", "Storage", "Inputs", "Reduction", "Loss", "Values", "ConvViews"],
  "@dfine/nn": ["STORAGE"],
  "@dfine/backend-cpu": [],
  "@dfine/backend-webgpu": ["Tuning", "Products", "BufferView", "BindingType", "UniformType"],
};
const entries = [
  "dfine/src",
  "dfine/src/node",
  "tensor/src",
  "tensor/src/kernel",
  "tensor/src/testing",
  "nn/src",
  "backend-cpu/src",
  "backend-webgpu/src",
];
const root = join(import.meta.dirname, "..");
const out = join(root, ".cache", "api");

const app = await Application.bootstrap(
  {
    name: "D-FINE in TypeScript",
    entryPoints: entries.map((folder) => join(root, "packages", folder, "index.ts")),
    tsconfig: join(root, "tsconfig.json"),
    readme: join(root, "README.md"),
    // Links to sources need a remote, which a copy of the repository may lack.
    disableSources: true,
    excludePrivate: true,
    excludeInternal: true,
    // The task `lint` checks types.
    skipErrorChecking: true,
    validation: { notExported: true, notDocumented: true, invalidLink: true, rewrittenLink: true },
    requiredToBeDocumented: ["Class", "Interface", "TypeAlias", "Function", "Variable"],
  },
  [new TSConfigReader()],
);
const project = await app.convert();
if (!project) process.exit(1);
for (const [name, inner] of Object.entries(packages)) {
  // TypeDoc looks for what is missing in one package alone.
  project.packageName = name;
  app.options.setValue("intentionallyNotExported", [...inner]);
  app.validate(project);
}
const problems = app.logger.errorCount + app.logger.warningCount + app.logger.validationWarningCount;
if (problems === 0) await app.generateDocs(project, out);
process.stdout.write(problems > 0 ? `${problems} problems\n` : `API pages: ${join(out, "index.html")}\n`);
process.exitCode = problems > 0 ? 1 : 0;
