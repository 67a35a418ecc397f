export * from "./adamW.ts";
export * from "./clip.ts";
export * from "./ema.ts";
export { readNamed } from "./saved.ts";
