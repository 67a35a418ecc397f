import type { AttributeOps } from "@dfine/tensor";
import { type Activation, load, scalar } from "@dfine/tensor/kernel";
import { ExportError } from "../exportError.ts";
import { writeExpression } from "./expressions.ts";
import type { Graph, SizeWriter } from "./graph.ts";
import { fixed, isFixed, type Size, type Sized, times } from "./sizes.ts";
import type { Value } from "./trace.ts";

/** A call of an op with attributes, and where it is put down. */
export interface OpCallOf<Attrs> {
  readonly graph: Graph;
  readonly sizes: SizeWriter;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  /** How a value is called, which is put down if need be. */
  readonly name: (value: Value) => string;
  /** How the inputs are called. */
  readonly names: readonly string[];
  readonly attrs: Sized<Attrs>;
  /** A weight with each output channel multiplied by a constant, where both are known. */
  readonly scaled: (weight: Value, factor: Value) => string | undefined;
}

/** Puts a call down, and gives the names of its outputs; undefined for one that ONNX does not give. */
type Rule<Attrs> = (call: OpCallOf<Attrs>) => readonly (string | undefined)[];

const ints = (sizes: readonly Size[]): number[] => sizes.map(fixed);

function convolution(graph: Graph, inputs: readonly string[], attrs: Sized<AttributeOps["conv2d"]>): string {
  const { stride, padding, dilation, groups } = attrs;
  const window = { strides: ints(stride), pads: ints(padding), dilations: ints(dilation), group: fixed(groups) };
  return graph.node("Conv", inputs, window);
}

const perChannel = (graph: Graph, value: string): string => graph.node("Reshape", [value, graph.ints([1, -1, 1, 1])]);

const activated = (graph: Graph, activation: Activation, value: string): string =>
  writeExpression(scalar[activation](load(0)), graph, { load: () => value, param: () => value });

/** A convolution and its epilogue, the norm's factor within the weight where that is known. */
const conv2dAct: Rule<AttributeOps["conv2dAct"]> = ({ graph, inputs, name, attrs, scaled }) => {
  const [x, weight, bias, factor, scale, shift] = inputs as [Value, Value, Value, Value?, Value?, Value?];
  const known = factor ? scaled(weight, factor) : name(weight);
  const sum = known
    ? convolution(graph, [name(x), known, name(bias)], attrs)
    : graph.node("Add", [
        graph.node("Mul", [convolution(graph, [name(x), name(weight)], attrs), perChannel(graph, name(factor!))]),
        perChannel(graph, name(bias)),
      ]);
  const y = activated(graph, attrs.activation as Activation, sum);
  return [scale && shift ? graph.node("Add", [graph.node("Mul", [y, name(scale)]), name(shift)]) : y];
};

/** Places in 0–1 [..., x and y] as the middles of the pixels that they are nearest to, as `discrete` sampling takes them. */
function middles(graph: Graph, places: string, size: string): string {
  const half = graph.number(0.5, "f32");
  const pixel = graph.node("Floor", [graph.node("Add", [graph.node("Mul", [places, size]), half])]);
  const last = graph.node("Sub", [size, graph.number(1, "f32")]);
  const inside = graph.node("Min", [graph.node("Max", [pixel, graph.number(0, "f32")]), last]);
  return graph.node("Div", [graph.node("Add", [inside, half]), size]);
}

/** Samples each level by GridSample, head by head, and sums what the points of all levels give. */
const deformableSample: Rule<AttributeOps["deformableSample"]> = ({ graph, sizes, inputs, names, attrs }) => {
  const isDiscrete = (attrs.method as string) === "discrete";
  const [batch, , heads, depth] = inputs[0]!.shape as [Size, Size, Size, Size];
  const [, queries, , points] = inputs[1]!.shape as [Size, Size, Size, Size];
  const count = (n: number): Size => batch.map(() => n);
  const perHead = times(batch, heads);
  const byHead = (name: string, perm: readonly number[]) => graph.node("Transpose", [name], { perm });
  const levels = attrs.levels.map((level) => ({ ...level, area: times(level.height, level.width) }));
  const split = (name: string, axis: number, pieces: readonly Size[]) =>
    graph.several("Split", [name, sizes.list(pieces)], { count: pieces.length, attributes: { axis } });
  const maps = split(
    byHead(names[0]!, [0, 2, 3, 1]),
    3,
    levels.map(({ area }) => area),
  );
  const places = sizes.reshape(
    byHead(names[1]!, [0, 2, 1, 3, 4]),
    [batch, heads, queries, points, count(2)],
    [perHead, queries, points, count(2)],
  );
  const perLevel = split(
    places,
    2,
    levels.map((level) => level.points),
  );
  const sampled = levels.map(({ height, width, area }, i) => {
    const map = sizes.reshape(maps[i]!, [batch, heads, depth, area], [perHead, depth, height, width]);
    const size = () => graph.cast(sizes.list([width, height]), "float32");
    const at = isDiscrete ? middles(graph, perLevel[i]!, size()) : perLevel[i]!;
    const twice = graph.node("Mul", [at, graph.number(2, "f32")]);
    const grid = graph.node("Sub", [twice, graph.number(1, "f32")]);
    const mode = isDiscrete ? "nearest" : "bilinear";
    return graph.node("GridSample", [map, grid], { mode, padding_mode: "zeros", align_corners: 0 });
  });
  const weights = sizes.reshape(
    byHead(names[2]!, [0, 2, 1, 3]),
    [batch, heads, queries, points],
    [perHead, count(1), queries, points],
  );
  const weighted = graph.node("Mul", [graph.node("Concat", sampled, { axis: 3 }), weights]);
  const sums = graph.node("ReduceSum", [weighted, graph.ints([3])], { keepdims: 0 });
  const joined = sizes.reshape(sums, [perHead, depth, queries], [batch, times(heads, depth), queries]);
  return [byHead(joined, [0, 2, 1])];
};

/** The products, softmax and products that it is. */
const attention: Rule<AttributeOps["scaledDotProductAttention"]> = ({ graph, names, attrs }) => {
  const [query, key, value, bias] = names as [string, string, string, string?];
  const swapped = (name: string, perm: readonly number[]) => graph.node("Transpose", [name], { perm });
  const scores = graph.node("MatMul", [query, swapped(key, [0, 1, 3, 2])]);
  const scaled = graph.node("Mul", [scores, graph.number(fixed(attrs.scale), "f32")]);
  const weights = graph.node("Softmax", [bias ? graph.node("Add", [scaled, bias]) : scaled], { axis: -1 });
  return [swapped(graph.node("MatMul", [weights, value]), [0, 2, 1, 3])];
};

/** Where a slice ends, as ONNX has it. */
const endOf = (start: Size, step: Size, length: Size): Size => length.map((n, i) => start[i]! + (n - 1) * step[i]! + 1);

const training = () => {
  throw new ExportError("onnx: gradients are not exported; export a model in its deploy form");
};

/** Every op that has attributes, in ONNX. */
export const RULES: { readonly [Name in keyof AttributeOps]: Rule<AttributeOps[Name]> } = {
  matmul: ({ graph, names }) => [graph.node("MatMul", names)],
  conv2d: ({ graph, names, attrs }) => [convolution(graph, names, attrs)],
  conv2dAct,
  conv2dInputGrad: training,
  conv2dWeightGrad: training,
  maxPool2d: ({ graph, names, attrs }) => {
    const pads = ints([...attrs.padding, ...attrs.padding]);
    const window = { kernel_shape: ints(attrs.kernelSize), strides: ints(attrs.stride), pads };
    return [graph.node("MaxPool", names, { ...window, ceil_mode: attrs.ceilMode ? 1 : 0 }), undefined];
  },
  maxPool2dGrad: training,
  indexSelect: ({ graph, names }) => [graph.node("Gather", names, { axis: 0 })],
  indexAdd: training,
  topK: ({ graph, names, attrs }) => {
    const [values, indices] = graph.several("TopK", [names[0]!, graph.ints([fixed(attrs.k)])], {
      count: 2,
      attributes: { axis: -1 },
    });
    return [values, graph.cast(indices!, "int32")];
  },
  deformableSample,
  deformableSampleGrad: training,
  scaledDotProductAttention: attention,
  scaledDotProductAttentionGrad: training,
  reshape: ({ sizes, inputs, outputs, names }) => [sizes.reshape(names[0]!, inputs[0]!.shape, outputs[0]!.shape)],
  permute: ({ graph, names, attrs }) => [graph.node("Transpose", names, { perm: ints(attrs.axes) })],
  expand: ({ graph, sizes, outputs, names }) => [graph.node("Expand", [names[0]!, sizes.list(outputs[0]!.shape)])],
  slice: ({ graph, sizes, outputs, names, attrs: { starts, steps } }) => {
    const ends = outputs[0]!.shape.map((length, axis) => endOf(starts[axis]!, steps[axis]!, length));
    const axes = graph.ints(starts.map((_, axis) => axis));
    return [graph.node("Slice", [names[0]!, sizes.list(starts), sizes.list(ends), axes, sizes.list(steps)])];
  },
  concat: ({ graph, names, attrs }) => [graph.node("Concat", names, { axis: fixed(attrs.axis) })],
  split: ({ graph, sizes, outputs, names, attrs }) => {
    const axis = fixed(attrs.axis);
    const pieces = sizes.list(outputs.map(({ shape }) => shape[axis]!));
    return graph.several("Split", [names[0]!, pieces], { count: outputs.length, attributes: { axis } });
  },
  pad2d: ({ graph, inputs, names, attrs }) => {
    const [top, left, bottom, right] = ints(attrs.widths) as [number, number, number, number];
    const widths = graph.ints([0, 0, top, left, 0, 0, bottom, right]);
    return [graph.node("Pad", [names[0]!, widths, graph.number(fixed(attrs.value), inputs[0]!.dtype)])];
  },
  upsampleNearest: ({ graph, names, attrs }) => {
    const scale = fixed(attrs.scale);
    const data = Float32Array.of(1, 1, scale, scale);
    const scales = graph.constant({ name: `scales.${scale}`, element: "float32", dims: [4], data });
    const how = { mode: "nearest", coordinate_transformation_mode: "asymmetric", nearest_mode: "floor" };
    return [graph.node("Resize", [names[0]!, "", scales], how)];
  },
  arange: ({ graph, sizes, outputs, attrs: { start, step } }) => {
    const length = outputs[0]!.shape[0]!;
    const limit = length.map((n, i) => start[i]! + n * step[i]!);
    if (!isFixed(start)) throw new ExportError("onnx: a range must begin at one number for all sizes");
    return [
      graph.node(
        "Range",
        [start, limit, step].map((size) => sizes.number(size, "i32")),
      ),
    ];
  },
};
