import { type Random, type Shape, sizeOf } from "@dfine/tensor";

/** First values of a parameter: one number everywhere, or drawn. */
export type Initializer = number | ((shape: Shape, random: Random) => Float32Array);

/** Inputs and outputs that meet in one element of a weight [out, in, ...kernel]. */
function fans(shape: Shape): { fanIn: number; fanOut: number } {
  const [out = 1, input = 1, ...kernel] = shape;
  return { fanIn: input * sizeOf(kernel), fanOut: out * sizeOf(kernel) };
}

function draw(shape: Shape, next: () => number): Float32Array {
  const values = new Float32Array(sizeOf(shape));
  for (let i = 0; i < values.length; i++) values[i] = next();
  return values;
}

/** Uniform in −bound…bound. */
export const uniformInit =
  (bound: number): Initializer =>
  (shape, random) =>
    draw(shape, () => (2 * random.uniform() - 1) * bound);

/** Normal with the given standard deviation. */
export const normalInit =
  (std = 1): Initializer =>
  (shape, random) =>
    draw(shape, () => random.normal() * std);

/** PyTorch's default for convolutions and linear layers: He et al. 2015 with a = √5, uniform in ±1/√fanIn. */
export const kaimingUniform: Initializer = (shape, random) =>
  draw(shape, () => (2 * random.uniform() - 1) / Math.sqrt(fans(shape).fanIn));

/** Glorot & Bengio 2010: uniform in ±√(6 / (fanIn + fanOut)). */
export const xavierUniform: Initializer = (shape, random) => {
  const { fanIn, fanOut } = fans(shape);
  const bound = Math.sqrt(6 / (fanIn + fanOut));
  return draw(shape, () => (2 * random.uniform() - 1) * bound);
};

/** What an initialiser gives a parameter of `shape`. */
export const initialValues = (init: Initializer, call: { shape: Shape; random: Random }): Float32Array =>
  typeof init === "number" ? new Float32Array(sizeOf(call.shape)).fill(init) : init(call.shape, call.random);
