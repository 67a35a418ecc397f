import { basename, dirname, resolve } from "node:path";
import { writeFileAtomic } from "../checkpointFile.ts";
import { absoluteDataFiles, type DataFiles } from "../datasets.ts";
import { createRunFolder, type RunFolder } from "../runFolder.ts";

/** Makes the folder of a training run, named after its data where nothing else is said, and records where that lies. */
export async function createTrainFolder(
  { out, name }: { readonly out: string; readonly name?: string },
  dataFiles: DataFiles,
): Promise<RunFolder> {
  const run = await createRunFolder(out, "train", name ?? defaultName(dataFiles));
  await writeFileAtomic(run.data, `${JSON.stringify(absoluteDataFiles(dataFiles), null, 2)}\n`);
  return run;
}

/** The data set's folder names the run, as people look for it. */
function defaultName(files: DataFiles): string {
  const path = "data" in files ? files.data : (files.train?.images ?? "run");
  const name = basename(dirname(resolve(path))).replace(/[^\p{L}\p{N}._-]+/gu, "-");
  return /[\p{L}\p{N}]/u.test(name) ? name : "run";
}
