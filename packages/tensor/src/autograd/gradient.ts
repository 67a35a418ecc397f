import type { Dtype } from "../dtype.ts";
import { GradientError, ShapeError } from "../errors.ts";
import { type Expr, load } from "../kernel/expr.ts";
import { makeProgram, mapProgram, readOperand, updateOperand } from "../kernel/program.ts";
import { identity } from "../ops/arithmetic.ts";
import { ones } from "../ops/create.ts";
import { empty, launchOver } from "../ops/result.ts";
import { noGrad, runtime, withRuntime } from "../runtime.ts";
import { isOwnedHere, keep, scope } from "../scope.ts";
import { sameShape, shapeText } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import type { Edge, Seen, Node as TapeNode } from "./node.ts";
import { isAlone, liesAt, Places, seenPlace } from "./places.ts";
import { checkSaved, record } from "./tape.ts";

type Node = TapeNode<Tensor>;

/**
 * Backpropagates from `output`: every leaf it depends on gets d(output)/d(leaf) · dy added to its `grad`. `dy` may be left
 * out for a one-element output. What the pass saved is freed as it goes, so it runs once.
 * @throws GradientError when nothing was recorded, or it ran before
 */
export function backward(output: Tensor, dy?: Tensor): void {
  const edge = output.edge;
  if (!edge) throw new GradientError("backward: the tensor depends on nothing that requires a gradient");
  if (!dy && output.size !== 1)
    throw new ShapeError(`backward: an output of shape ${shapeText(output.shape)} needs its gradient dy`);
  if (dy && !sameShape(dy.shape, output.shape))
    throw new ShapeError(`backward: dy is ${shapeText(dy.shape)}, the output ${shapeText(output.shape)}`);
  noGrad(() =>
    scope("backward", () => {
      const pass: Pass = { pending: new Map(), places: new Places() };
      arrive(pass, edge, (dy ?? ones(output.shape, { backend: output.backend })).alias());
      const nodes = newestFirst(edge.node);
      for (let i = 0; i < nodes.length; i++) step(nodes[i]!, pass);
    }),
  );
}

interface Pass {
  /** Gradients that arrived at nodes whose turn has not come, for each output; by the node's id. */
  readonly pending: Map<number, (Tensor[] | undefined)[]>;
  readonly places: Places;
}

/** Takes over the handle. */
function arrive(pass: Pass, edge: Edge<Tensor>, gradient: Tensor): void {
  const { node, output, seen } = edge;
  const own = seen ? unseen(gradient, seen) : gradient;
  let grads = pass.pending.get(node.id);
  if (!grads) {
    grads = new Array<Tensor[] | undefined>(node.outputCount).fill(undefined);
    pass.pending.set(node.id, grads);
  }
  const arrived = grads[output];
  if (!arrived) grads[output] = [own];
  else if (arrived.push(own) > MOST_TERMS) grads[output] = [total(arrived, pass.places.isIn(arrived[0]!, edge))];
}

/** The gradient of what was seen; takes over the handle. */
function unseen(gradient: Tensor, seen: Seen<Tensor>): Tensor {
  const result = scope("view", () => {
    let own = gradient;
    for (let view: Seen<Tensor> | undefined = seen; view; view = view.before) own = view.gradient(own);
    return own;
  });
  if (result !== gradient) gradient.dispose();
  return result;
}

function step(node: Node, pass: Pass): void {
  const { pending, places } = pass;
  const arrived = pending.get(node.id);
  if (!arrived) return;
  pending.delete(node.id);
  // The gradient of each output; undefined where none arrived.
  const grads = arrived.map((own, output) =>
    own && own.length > 1 ? total(own, places.isIn(own[0]!, { node, output })) : own?.[0],
  );
  if (node.leaf) {
    node.grad = keep(leafGradient(node, grads[0]!));
    return;
  }
  const { vjp } = node;
  if (!vjp)
    throw new GradientError(
      `backward: "${node.name}" was already backpropagated and its saved values are freed; run the forward pass again`,
    );
  checkSaved(node);
  const offered = places.into(node);
  // Gradients may be one tensor, or somebody else's; each one that stays is a handle of its own.
  const results = scope(node.name, () => {
    const into = node.parts ? offered : offered.map((place, i) => seenPlace(node.inputs[i]?.seen, place));
    const given = vjp({ grads, needs: node.inputs.map(isWanted), into, saved: node.saved });
    return given.map((gradient, i) => {
      if (!gradient || !node.inputs[i]) return undefined;
      return isOwnedHere(gradient) && given.indexOf(gradient) === i ? gradient : gradient.alias();
    });
  });
  for (let i = 0; i < results.length; i++) if (results[i]) arrive(pass, node.inputs[i]!, results[i]!);
  for (let output = 0; output < grads.length; output++) grads[output]?.dispose();
  places.forget(node);
  node.forget();
}

const isWanted = (edge: Edge<Tensor> | undefined): boolean => edge !== undefined;

/** What a leaf's gradient is, now that another one arrived, whose handle it takes over. */
function leafGradient({ grad, place }: Node, gradient: Tensor): Tensor {
  if (grad) return total([grad, gradient], place !== undefined && liesAt(grad, place));
  return place && liesAt(gradient, place) ? gradient : own(gradient);
}

/**
 * The sum of gradients that arrived by several ways, added in their order, in the place of the last one whose elements nobody else
 * reads (what is put off may still read earlier ones); takes over the handles. `isOwn`: that the first is one.
 */
function total(arrived: readonly Tensor[], isOwn: boolean): Tensor {
  const place = isOwn ? 0 : arrived.map(isAlone).lastIndexOf(true);
  const target = arrived[place];
  if (target) launchOver(accumulate[arrived.length - 1]![place]!, target, { tensors: [...arrived] });
  const result = target ?? addedUp(arrived);
  for (const gradient of arrived) if (gradient !== target) gradient.dispose();
  return result;
}

function addedUp(tensors: readonly Tensor[]): Tensor {
  const [{ backend, shape }] = tensors as [Tensor];
  const result = empty(backend, shape, "f32");
  launchOver(addition[tensors.length - 1]!, result, { tensors: [...tensors, result] });
  return result;
}

/** Terms of one sum, whose kernel binds no more buffers than every WebGPU device takes. */
const MOST_TERMS = 6;
const sumOf = (terms: number): Expr => Array.from({ length: terms }, (_, i) => load(i)).reduce((a, b) => a.add(b));
const terms = Array.from({ length: MOST_TERMS + 1 }, (_, count) => count + 1);
/** By the number of terms less one, and which of them becomes the sum. */
const accumulate = terms.map((count) =>
  Array.from({ length: count }, (_, place) =>
    makeProgram("accumulate", {
      operands: Array.from({ length: count }, (_, i) => (i === place ? updateOperand : readOperand)("f32")),
      params: [],
      stages: [{ kind: "store", perRow: false, writes: [{ operand: place, expr: sumOf(count) }] }],
    }),
  ),
);
/** By the number of terms less one. */
const addition = terms.map((count) =>
  mapProgram("add", { inputs: new Array<Dtype>(count).fill("f32"), params: [], outputs: [sumOf(count)] }),
);

/** A leaf's gradient may be changed in place, so it shares elements with nothing; takes over the handle. */
function own(gradient: Tensor): Tensor {
  if (!gradient.storage.isShared) return gradient;
  const copy = identity(gradient);
  gradient.dispose();
  return copy;
}

/** Every node the output depends on; one made later never feeds one made earlier. */
function newestFirst(root: Node): Node[] {
  const seen = new Set<number>([root.id]);
  const nodes = [root];
  for (let n = 0; n < nodes.length; n++) {
    const { inputs } = nodes[n]!;
    for (let i = 0; i < inputs.length; i++) {
      const node = inputs[i]?.node;
      if (!node || seen.has(node.id)) continue;
      seen.add(node.id);
      nodes.push(node);
    }
  }
  return nodes.sort((a, b) => b.id - a.id);
}

/** Gradients of `body` at `inputs`, given the gradient `dy` of its result; undefined where none is needed or arrives. */
function gradientsAt(
  body: (leaves: Tensor[]) => Tensor,
  { inputs, dy, needs }: { inputs: readonly Tensor[]; dy: Tensor; needs?: readonly boolean[] },
): (Tensor | undefined)[] {
  const leaves = inputs.map((input, i) => {
    const leaf = input.alias();
    if (needs?.[i] !== false) leaf.requiresGrad = true;
    return leaf;
  });
  backward(body(leaves), dy);
  return leaves.map((leaf) => {
    const gradient = leaf.grad?.alias();
    if (gradient) leaf.grad = undefined;
    return gradient;
  });
}

/** Gradients of `body` at `inputs`, given the gradient `dy` of its result; zeros where none arrives. */
export function gradients(
  body: (leaves: Tensor[]) => Tensor,
  call: { inputs: readonly Tensor[]; dy: Tensor },
): Tensor[] {
  return withRuntime({ gradientEnabled: true }, () =>
    scope("gradients", () => gradientsAt(body, call).map((gradient, i) => gradient ?? call.inputs[i]!.detach().mul(0))),
  );
}

/**
 * Runs `body` without keeping its intermediate values and computes them again during backpropagation: memory for time.
 * Tensors that `body` reads from outside `inputs` must be leaves (parameters).
 */
export function checkpoint(body: (inputs: Tensor[]) => Tensor, inputs: readonly Tensor[]): Tensor {
  if (!runtime.gradientEnabled) return body([...inputs]);
  const output = noGrad(() => scope("checkpoint", () => body([...inputs])));
  const result = output.alias();
  // A leaf of its own, because parameters inside `body` want gradients even when no input does.
  const anchor = ones([1], { backend: output.backend });
  anchor.requiresGrad = true;
  record("checkpoint", [result], {
    inputs: [...inputs, anchor],
    saves: inputs,
    vjp: ({ grads, needs, saved }) =>
      withRuntime({ gradientEnabled: true, recomputing: true }, () =>
        scope("recompute", () => gradientsAt(body, { inputs: saved as readonly Tensor[], dy: grads[0]!, needs })),
      ),
  });
  return result;
}
