import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { type DataYaml, parseDataYaml } from "../../../data/dataYaml.ts";
import { isFolder } from "../onDisk.ts";
import { readText } from "../readCoco.ts";

const USUAL = ["data.yaml", "data.yml", "dataset.yaml", "dataset.yml"];
/** In a folder a YAML file of any other name is one of data where it names parts. */
const NAMES_PARTS = /^(train|val)\s*:/m;

/** The data.yaml that a place is or holds; undefined where it has none. @throws DatasetError */
export async function openDataYaml(place: string): Promise<(DataYaml & { readonly file: string }) | undefined> {
  const file = (await isFolder(place)) ? await inFolder(place) : /\.json$/i.test(place) ? undefined : place;
  return file === undefined ? undefined : { ...parseDataYaml(await readText(file), file), file };
}

async function inFolder(folder: string): Promise<string | undefined> {
  const names = (await readdir(folder)).filter((name) => /\.ya?ml$/i.test(name) && !name.startsWith("."));
  const usual = USUAL.find((name) => names.includes(name));
  if (usual !== undefined) return join(folder, usual);
  const others: string[] = [];
  for (const name of names.sort()) if (NAMES_PARTS.test(await readText(join(folder, name)))) others.push(name);
  return others.length === 1 ? join(folder, others[0]!) : undefined;
}
