import type { SafetensorsEntry } from "@dfine/nn";
import { ModelFileError } from "./errors.ts";
import { describeValue, unpickle } from "./pickle.ts";
import { PickleDict, PickleList, type PickleValue } from "./pickleValues.ts";
import { torchGlobal } from "./torchGlobals.ts";
import { Storage, StorageType, TorchTensor } from "./torchTensor.ts";
import { openZip, type ZipArchive } from "./zip.ts";

/** Which weights of a checkpoint: the averaged ones or those that training goes on with; "only": it has one set. */
export type WeightSet = "ema" | "model" | "only";

/** What a checkpoint of a trainer says beside its weights. */
export interface TrainingFacts {
  /** Keys of the checkpoint. */
  readonly parts: readonly string[];
  /** The last epoch done, from 0. */
  readonly lastEpoch?: number;
  readonly date?: string;
  /** Steps in the average. */
  readonly emaUpdates?: number;
}

/** The weights of a file. */
export interface WeightsFile {
  /** Views of the file, read when they are needed. */
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
  /** Which weights `entries` are, of `sets` that there are. */
  readonly chosen: WeightSet;
  readonly sets: readonly WeightSet[];
  /** Of a trainer's checkpoint. */
  readonly training?: TrainingFacts;
}

/** Bytes of data.pkl; those of the largest preset with its optimiser are under two million. */
const MAX_PICKLE = 16_000_000;

/**
 * Opens a checkpoint written by torch.save: `{model, ema: {module}, …}` as D-FINE's trainer writes it, `{model}` (or another
 * of `MODEL_KEYS`) or a plain state dict. The averaged weights are taken where there are any, unless `ema` says otherwise.
 * Tensors are views of `bytes`, and nothing that the file holds is executed.
 * @throws ModelFileError
 */
export function readPth(bytes: Uint8Array, options: { file: string; ema?: boolean | undefined }): WeightsFile {
  const { file, ema } = options;
  const archive = openZip(bytes, file);
  const root = readPickle(archive);
  const parts = weightSets(root, file);
  const chosen = chooseSet([...parts.keys()], { file, ema });
  const entries = toEntries(parts.get(chosen)!, archive);
  const training = trainingFacts(root);
  return { entries, chosen, sets: [...parts.keys()], ...(training ? { training } : {}) };
}

function readPickle(archive: ZipArchive): PickleValue {
  const { file, entries } = archive;
  const refuse = (problem: string): never => {
    throw new ModelFileError(`${file}: ${problem}`);
  };
  const fail = (problem: string): never => refuse(`${problem}; it is damaged or made to harm, fetch it again`);
  const pickle = [...entries.values()].find(({ name }) => /^[^/]+\/data\.pkl$/.test(name));
  if (!pickle)
    return refuse(
      "is a zip archive, but not one of torch.save: it has no data.pkl; unpack it and give the weights that are in it",
    );
  const folder = pickle.name.slice(0, -"data.pkl".length);
  if ([...entries.keys()].some((name) => name.startsWith(`${folder}code/`)))
    return refuse("is a TorchScript program; save its weights instead: torch.save(model.state_dict(), …)");
  const order = entries.get(`${folder}byteorder`);
  if (order && new TextDecoder().decode(archive.view(order)) !== "little")
    return refuse("was written on a big-endian machine; load it and save it again on an ordinary one");
  if (pickle.end - pickle.start > MAX_PICKLE)
    return fail(
      `its data.pkl has ${pickle.end - pickle.start} bytes, more than the limit of ${MAX_PICKLE} for weights`,
    );
  archive.verify(pickle);
  const storages = new Map<string, Storage>();
  return unpickle(archive.view(pickle), {
    fail,
    global: (module, name) => torchGlobal(module, name, { refuse, fail }),
    persistent: (id) => {
      const storage = readStorage(id, { archive, folder, fail });
      const { what, known } = storage;
      const before = storages.get(what);
      if (before && before.known.type !== known.type) fail(`uses ${what} as two types of number`);
      if (!before) storages.set(what, storage);
      return before ?? storage;
    },
  });
}

/** The storage that a persistent id names: ("storage", type, key, device, elements). */
function readStorage(
  id: PickleValue,
  context: { archive: ZipArchive; folder: string; fail: (problem: string) => never },
): Storage {
  const { archive, folder, fail } = context;
  const [kind, type, key, , count] = id instanceof PickleList ? id.items : [];
  if (kind !== "storage" || !(type instanceof StorageType) || typeof key !== "string" || typeof count !== "number")
    return fail("refers to something that is not a storage of tensors");
  const entry = archive.entries.get(`${folder}data/${key}`);
  if (!entry) return fail(`lacks the numbers of storage ${key.slice(0, 40)}`);
  const size = entry.end - entry.start;
  const { width } = type.known;
  if (size !== count * width)
    return fail(`its storage ${key} should have ${count} elements of ${width} bytes, but has ${size} bytes`);
  return new Storage(`storage ${key}`, { type: type.known, entry, count });
}

/** The value, if it is a dictionary that holds tensors. */
function stateDict(value: PickleValue | undefined): PickleDict | undefined {
  if (!(value instanceof PickleDict)) return undefined;
  for (const [, tensor] of value.entries()) if (tensor instanceof TorchTensor) return value;
  return undefined;
}

/** Where trainers keep their weights: D-FINE's, Lightning, PyTorch's own examples. */
const MODEL_KEYS = ["model", "state_dict", "model_state_dict"];

/** The sets of weights that a checkpoint has, best first. */
function weightSets(root: PickleValue, file: string): Map<WeightSet, PickleDict> {
  const sets = new Map<WeightSet, PickleDict>();
  if (root instanceof PickleDict) {
    const ema = root.get("ema");
    const averaged = stateDict(ema instanceof PickleDict ? (ema.get("module") ?? ema) : undefined);
    const [model] = MODEL_KEYS.flatMap((key) => stateDict(root.get(key)) ?? []);
    if (averaged) sets.set("ema", averaged);
    if (model) sets.set("model", model);
    if (sets.size === 0 && stateDict(root)) sets.set("only", root);
  }
  if (sets.size === 0) {
    const keys = root instanceof PickleDict ? [...root.entries()].map(([key]) => describeValue(key)) : [];
    throw new ModelFileError(
      `${file}: holds ${root instanceof PickleDict ? `a dictionary of ${keys.slice(0, 8).join(", ") || "nothing"}` : describeValue(root)}, ` +
        "but no weights where D-FINE has them; give a checkpoint of its trainer ({model, ema}), {model} or a state dict",
    );
  }
  return sets;
}

function chooseSet(sets: readonly WeightSet[], { file, ema }: { file: string; ema?: boolean | undefined }): WeightSet {
  if (ema === undefined) return sets[0]!;
  const wanted = ema ? "ema" : "model";
  if (sets.includes(wanted)) return wanted;
  throw new ModelFileError(`${file}: ${missingSet(wanted, sets)}`);
}

/** Says that a set of weights is not there, and what to do. */
export function missingSet(wanted: "ema" | "model", sets: readonly WeightSet[]): string {
  const there = { ema: "averaged weights only", model: "the weights of training only", only: "one set of weights" }[
    sets[0]!
  ];
  return wanted === "ema"
    ? `holds ${there}, no averaged ones (ema); load it without asking for them`
    : `holds ${there}, not those before averaging; leave --no-ema (ema: false) out`;
}

function toEntries(state: PickleDict, archive: ZipArchive): Map<string, SafetensorsEntry> {
  const { file } = archive;
  const tensors = new Map<string, TorchTensor>();
  for (const [name, value] of state.entries()) {
    if (typeof name !== "string" || !(value instanceof TorchTensor))
      throw new ModelFileError(
        `${file}: its weights hold ${describeValue(value)} under ${describeValue(name)}, which is no tensor; save the model's state_dict()`,
      );
    tensors.set(name, value);
  }
  checkOverlap(tensors, file);
  for (const entry of new Set([...tensors.values()].map(({ known }) => known.storage.known.entry)))
    archive.verify(entry);
  return new Map([...tensors].map(([name, tensor]) => [name, tensor.entry(name, archive)]));
}

/** Tensors may share all of their elements, as tied weights do, but not some of them. */
function checkOverlap(tensors: ReadonlyMap<string, TorchTensor>, file: string): void {
  const sorted = [...tensors]
    .map(([name, { known }]) => [name, known] as const)
    .filter(([, { begin, end }]) => begin < end)
    .sort(
      ([, a], [, b]) => a.storage.known.entry.start - b.storage.known.entry.start || a.begin - b.begin || a.end - b.end,
    );
  sorted.forEach(([name, tensor], i) => {
    const [otherName, other] = sorted[i - 1] ?? [];
    if (!other || other.storage !== tensor.storage || tensor.begin >= other.end) return;
    if (tensor.begin === other.begin && tensor.end === other.end) return;
    throw new ModelFileError(
      `${file}: its tensors ${otherName} and ${name} overlap in ${tensor.storage.what}; it is damaged, fetch it again`,
    );
  });
}

function trainingFacts(root: PickleValue): TrainingFacts | undefined {
  if (!(root instanceof PickleDict) || stateDict(root)) return undefined;
  const [epoch, date, ema] = [root.get("last_epoch"), root.get("date"), root.get("ema")];
  const updates = ema instanceof PickleDict ? ema.get("updates") : undefined;
  return {
    parts: [...root.entries()].map(([key]) => String(key)),
    ...(typeof epoch === "number" ? { lastEpoch: epoch } : {}),
    ...(typeof date === "string" ? { date } : {}),
    ...(typeof updates === "number" ? { emaUpdates: updates } : {}),
  };
}
