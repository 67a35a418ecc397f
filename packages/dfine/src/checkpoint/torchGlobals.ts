import { PickleCallable, PickleDict, PickleList, type PickleObject, type PickleValue } from "./pickleValues.ts";
import { STORAGE_DTYPES, StorageType, TorchTensor } from "./torchTensor.ts";

type Fail = (problem: string) => never;
type Call = (args: readonly PickleValue[], fail: Fail) => PickleValue;

/** A dictionary of nothing, of another dictionary, or of a list of pairs. */
const dictionary: Call = ([source], fail) => {
  const made = new PickleDict();
  if (source instanceof PickleDict) for (const [key, value] of source.entries()) made.set(key, value);
  else if (source instanceof PickleList) {
    for (const pair of source.items) {
      const [key, value] = pair instanceof PickleList ? pair.items : [];
      if (key === undefined || value === undefined || typeof key === "object")
        return fail("its pickle makes a dictionary of something else than pairs");
      made.set(key, value);
    }
  } else if (source !== undefined) fail("its pickle makes a dictionary of something else");
  return made;
};

const sequence =
  (fixed: boolean): Call =>
  ([source], fail) => {
    if (source === undefined) return new PickleList([], fixed);
    return source instanceof PickleList
      ? new PickleList([...source.items], fixed)
      : fail("its pickle makes a sequence of something else");
  };

const tensor: Call = (args, fail) => TorchTensor.rebuild(args, fail);
const parameter: Call = ([data], fail) =>
  data instanceof TorchTensor ? data : fail("its pickle makes a parameter of something that is not a tensor");
/** A trainer's options: an object whose attributes, all it has, are of no use here. */
const options: Call = (args, fail) =>
  args.length === 0 ? new PickleDict() : fail("its pickle makes options of something else than their names");
/** How protocol 2 writes bytes: as text and the name of its encoding. */
const encoded: Call = ([text], fail) =>
  typeof text === "string" ? text : fail("its pickle encodes something that is not text");

/**
 * All names that a pickle may use, and our own functions of those names. What ordinary trainer states hold beside tensors
 * is here too; nothing here reaches files, code or the network.
 */
const CALLS: { readonly [name: string]: Call } = {
  "collections.OrderedDict": dictionary,
  "collections.Counter": dictionary,
  "torch._utils._rebuild_tensor_v2": tensor,
  "torch._utils._rebuild_parameter": parameter,
  "torch.Size": sequence(true),
  "argparse.Namespace": options,
  "builtins.set": sequence(false),
  "__builtin__.set": sequence(false),
  "builtins.frozenset": sequence(true),
  "__builtin__.frozenset": sequence(true),
  "_codecs.encode": encoded,
};

const MAX_NAME = 100;

/** The object of a Python name. Names that are not on the list are refused; misuse of those that are fails. */
export function torchGlobal(module: string, name: string, host: { refuse: Fail; fail: Fail }): PickleObject {
  const full = `${module}.${name}`;
  const call = Object.hasOwn(CALLS, full) ? CALLS[full] : undefined;
  if (call) return new PickleCallable(full, (args) => call(args, host.fail));
  const storage = module === "torch" && Object.hasOwn(STORAGE_DTYPES, name) ? STORAGE_DTYPES[name] : undefined;
  if (storage) return new StorageType(full, storage);
  return host.refuse(
    `asks for ${full.length > MAX_NAME ? `${full.slice(0, MAX_NAME)}…` : full}, which weights never need, so nothing of it was read or run. ` +
      "If you trust where it comes from, save its weights alone, in Python: " +
      'c = torch.load("old.pth", map_location="cpu", weights_only=False); torch.save({k: c[k] for k in ("model", "ema") if k in c}, "weights.pth")',
  );
}
