import { type Backend, type Buffer, DeviceLostError } from "@dfine/tensor";
import type { Overrides } from "@dfine/tensor/kernel";

/**
 * How a loss shows: every call throws from then on, or, as on a GPU, commands are dropped without a word and only reads
 * fail.
 */
export type LossKind = "at once" | "at the next read";

export interface LosableBackend extends Backend {
  /** Calls so far that a device serves. */
  readonly calls: number;
  readonly isLost: boolean;
  /** Loses the device now. */
  lose(): void;
  /** Loses the device at its call number `call`, counted from 0. */
  loseAt(call: number): void;
}

type Part = (...args: never[]) => unknown;

/**
 * `inner`, whose device is lost at its call number `lossAt` (counted from 0; undefined: never). Disposing it leaves `inner`
 * alone, so that the next device can be made of the same one.
 */
export function losableBackend(
  inner: Backend,
  options: { lossAt?: number | undefined; kind?: LossKind } = {},
): LosableBackend {
  const { kind = "at once" } = options;
  let { lossAt } = options;
  let calls = 0;
  let isLost = false;
  const lost = () => new DeviceLostError(`fake device: lost${lossAt === undefined ? "" : ` at call ${lossAt}`}`);
  /** Counts a call; true while the device serves it. */
  const serves = (): boolean => {
    isLost ||= calls === lossAt;
    calls++;
    if (isLost && kind === "at once") throw lost();
    return !isLost;
  };
  const command =
    <P extends Part>(run: P) =>
    (...args: Parameters<P>): void => {
      if (serves()) run(...args);
    };
  const overrides = Object.fromEntries(
    Object.entries(inner.overrides).map(([op, override]) => [op, { ...override, run: command(override.run as Part) }]),
  ) as Overrides;
  return {
    name: `losable ${inner.name}`,
    floatBits: inner.floatBits,
    limits: inner.limits,
    overrides,
    get calls() {
      return calls;
    },
    get isLost() {
      return isLost;
    },
    lose() {
      isLost = true;
    },
    loseAt(call) {
      lossAt = call;
    },
    alloc(length, dtype): Buffer {
      serves();
      return inner.alloc(length, dtype);
    },
    free: (buffer) => inner.free(buffer),
    write: command(inner.write.bind(inner)),
    run: command(inner.run.bind(inner)),
    async read(sources) {
      if (serves()) return inner.read(sources);
      throw lost();
    },
    flush: () => inner.flush(),
    memory: () => inner.memory(),
    dispose() {
      isLost = true;
    },
  };
}
