import { arange, concat, indexSelect, mul, sub, type Tensor, tensor } from "@dfine/tensor";
import { cosFloat32, sinFloat32 } from "./float32Functions.ts";
import type { LevelSize } from "./levelCache.ts";
import { quotient } from "./quotient.ts";

const f32 = Math.fround;

/** Sines and then cosines of the positions along one axis [positions, features / 2], in float32 as the official code has them. */
function axisTable(positions: number, features: number, temperature: number): Float32Array {
  const quarter = features / 4;
  const frequencies = Array.from({ length: quarter }, (_, j) => f32(1 / f32(temperature ** f32(j / quarter))));
  const table = new Float32Array(positions * 2 * quarter);
  for (let position = 0; position < positions; position++)
    frequencies.forEach((frequency, j) => {
      const angle = f32(position * frequency);
      table[position * 2 * quarter + j] = sinFloat32(angle);
      table[(position * 2 + 1) * quarter + j] = cosFloat32(angle);
    });
  return table;
}

/**
 * Two-dimensional sine-cosine embedding [width · height, features] of a map, in float32 as the official code computes it.
 * Token t stands for column ⌊t / height⌋ and row t mod height, although the features follow each other row by row: on
 * maps that are not square the positions are scrambled, officially too.
 */
export function positionEmbedding({ width, height }: LevelSize, features: number, temperature: number): Float32Array {
  const half = features / 2;
  const table = axisTable(Math.max(width, height), features, temperature);
  const embedding = new Float32Array(width * height * features);
  for (let token = 0; token < width * height; token++) {
    const positions = [Math.floor(token / height), token % height];
    positions.forEach((position, axis) => {
      embedding.set(table.subarray(position * half, (position + 1) * half), token * features + axis * half);
    });
  }
  return embedding;
}

/** Rows and columns of the largest map that `positionOps` takes: of images with 4096 pixels along a side. */
const MOST_POSITIONS = 128;

/** `positionEmbedding` [1, width · height, features] by ops alone, looked up in a table. */
export function positionOps({ width, height }: LevelSize, features: number, temperature: number): Tensor {
  const table = tensor(axisTable(MOST_POSITIONS, features, temperature), [MOST_POSITIONS, features / 2]);
  const token = arange(width * height);
  const column = quotient(token, height);
  const row = sub(token, mul(column, height));
  return concat([indexSelect(table, column), indexSelect(table, row)], 1).unsqueeze(0);
}
