import { cosFloat32, sinFloat32 } from "./float32Functions.ts";
import type { LevelSize } from "./levelCache.ts";

const f32 = Math.fround;

/**
 * Two-dimensional sine-cosine embedding [width · height, features] of a map, in float32 as the official code computes it.
 * Token t stands for column ⌊t / height⌋ and row t mod height, although the features follow each other row by row: on
 * maps that are not square the positions are scrambled, officially too.
 */
export function positionEmbedding({ width, height }: LevelSize, features: number, temperature: number): Float32Array {
  const quarter = features / 4;
  const frequencies = Array.from({ length: quarter }, (_, j) => f32(1 / f32(temperature ** f32(j / quarter))));
  const embedding = new Float32Array(width * height * features);
  for (let token = 0; token < width * height; token++) {
    const positions = [Math.floor(token / height), token % height];
    positions.forEach((position, axis) => {
      const start = token * features + 2 * axis * quarter;
      frequencies.forEach((frequency, j) => {
        const angle = f32(position * frequency);
        embedding[start + j] = sinFloat32(angle);
        embedding[start + quarter + j] = cosFloat32(angle);
      });
    });
  }
  return embedding;
}
