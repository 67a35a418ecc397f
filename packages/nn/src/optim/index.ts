export * from "./adamW.ts";
export * from "./clip.ts";
export * from "./ema.ts";
