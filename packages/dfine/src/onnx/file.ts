import { PbfWriter } from "pbf";
import { type Attribute, ELEMENTS, type Graph, type GraphNode, type Initializer, type Port } from "./graph.ts";

/** ONNX's file format, and the set of operators, since 2022. */
const FORMAT_VERSION = 8;
export const OPSET = 18;

/** What stands around a graph. Field numbers are those of onnx.proto. */
export interface OnnxModel {
  readonly graph: Graph;
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly metadata: Readonly<Record<string, string>>;
}

/** Kinds of attributes. */
const KINDS = { float: 1, int: 2, string: 3, ints: 7 } as const;

function writeAttribute([name, value]: readonly [string, Attribute], pbf: PbfWriter): void {
  const kind =
    typeof value === "number" ? "int" : typeof value === "string" ? "string" : "float" in value ? "float" : "ints";
  pbf.writeStringField(1, name);
  pbf.writeVarintField(20, KINDS[kind]);
  if (typeof value === "number") pbf.writeVarintField(3, value);
  else if (typeof value === "string") pbf.writeBytesField(4, new TextEncoder().encode(value));
  else if ("float" in value) pbf.writeFloatField(2, value.float);
  else for (const n of value) pbf.writeVarintField(8, n);
}

function writeNode({ op, inputs, outputs, attributes }: GraphNode, pbf: PbfWriter): void {
  for (const input of inputs) pbf.writeStringField(1, input);
  for (const output of outputs) pbf.writeStringField(2, output);
  pbf.writeStringField(3, outputs[0]!);
  pbf.writeStringField(4, op);
  for (const entry of Object.entries(attributes)) pbf.writeMessage(5, writeAttribute, entry);
}

const writeDim = (size: number | string, pbf: PbfWriter): void =>
  typeof size === "number" ? pbf.writeVarintField(1, size) : pbf.writeStringField(2, size);
const writeShape = (dims: Port["dims"], pbf: PbfWriter): void => {
  for (const size of dims) pbf.writeMessage(1, writeDim, size);
};
const writeTensorType = ({ element, dims }: Port, pbf: PbfWriter): void => {
  pbf.writeVarintField(1, ELEMENTS[element]);
  pbf.writeMessage(2, writeShape, dims);
};
const writeType = (port: Port, pbf: PbfWriter): void => pbf.writeMessage(1, writeTensorType, port);
const writePort = (port: Port, pbf: PbfWriter): void => {
  pbf.writeStringField(1, port.name);
  pbf.writeMessage(2, writeType, port);
};

/** A message in pieces: weights are not copied before the end. */
type Pieces = readonly Uint8Array[];

function piece(write: (pbf: PbfWriter) => void): Uint8Array {
  const pbf = new PbfWriter();
  write(pbf);
  return pbf.finish();
}

/** A field that holds bytes or a message. */
const field = (number: number, content: Pieces): Pieces => [
  piece((pbf) => {
    pbf.writeTag(number, 2);
    pbf.writeVarint(content.reduce((sum, { length }) => sum + length, 0));
  }),
  ...content,
];

const tensorPieces = ({ name, element, dims, data }: Initializer): Pieces => [
  piece((pbf) => {
    for (const size of dims) pbf.writeVarintField(1, size);
    pbf.writeVarintField(2, ELEMENTS[element]);
    pbf.writeStringField(8, name);
  }),
  ...field(9, [new Uint8Array(data.buffer, data.byteOffset, data.byteLength)]),
];

/** An ONNX file. */
export function onnxFile({ graph, inputs, outputs, metadata }: OnnxModel): Uint8Array {
  const operators = (_: null, pbf: PbfWriter) => pbf.writeVarintField(2, OPSET);
  const property = ([key, value]: readonly [string, string], pbf: PbfWriter) => {
    pbf.writeStringField(1, key);
    pbf.writeStringField(2, value);
  };
  const head = piece((pbf) => {
    pbf.writeVarintField(1, FORMAT_VERSION);
    pbf.writeStringField(2, "dfine");
    pbf.writeMessage(8, operators, null);
    for (const entry of Object.entries(metadata)) pbf.writeMessage(14, property, entry);
  });
  const body: Pieces = [
    piece((pbf) => {
      for (const node of graph.nodes) pbf.writeMessage(1, writeNode, node);
      pbf.writeStringField(2, "dfine");
    }),
    ...[...graph.initializers.values()].flatMap((initializer) => field(5, tensorPieces(initializer))),
    piece((pbf) => {
      for (const port of inputs) pbf.writeMessage(11, writePort, port);
      for (const port of outputs) pbf.writeMessage(12, writePort, port);
    }),
  ];
  return joinedBytes([head, ...field(7, body)]);
}

function joinedBytes(pieces: Pieces): Uint8Array {
  const bytes = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of pieces) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
