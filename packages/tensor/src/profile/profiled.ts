import type { Backend, Meter, Override, OverrideCall, Overrides } from "../backend.ts";
import { memo } from "../memo.ts";
import type { Ceiling } from "./ceiling.ts";
import { type KernelWork, workOfKernel, workOfOp } from "./work.ts";

/** What the calls of one op by one kernel have cost; times in milliseconds. */
export interface OpProfile extends KernelWork {
  readonly op: string;
  /** The hand-written kernel that ran; "generated" where the op's own description was compiled. */
  readonly variant: string;
  readonly calls: number;
  /** Kernels started, or dispatches and copies; undefined where the backend does not tell. */
  readonly launches: number | undefined;
  /** In which kernels ran: while the caller waited for them, or `beside` it; undefined where they only queue. */
  readonly milliseconds: number | undefined;
  /** Of these, in which the caller waited for other threads. */
  readonly waiting: number;
  /** In JavaScript, since the kernel before: what the engine did for the call, and what the backend did. */
  readonly host: number;
}

/** Where the time of a program went; in milliseconds. */
export interface Profile {
  /** Those that took longest first. */
  readonly ops: readonly OpProfile[];
  /** From the start, less what profiling took itself. */
  readonly wall: number;
  /** Waiting for results to be read. */
  readonly reading: number;
  /** Neither in ops nor reading: what the program did by itself, on the host. */
  readonly elsewhere: number;
  readonly ceiling: Ceiling | undefined;
  /** Whether kernels ran on a device beside the host, so that their times are no part of the host's. */
  readonly beside: boolean;
}

/** A backend that is watched. */
export interface Profiled<B extends Backend> {
  /** The same backend: what is to be watched runs on it. */
  readonly backend: B;
  /** What was seen since the start, or since this was called before with `restart`. */
  profile(options?: { readonly restart?: boolean }): Profile;
  /** Resolves when the times of all kernels so far are known; asked for before `profile`, where a device tells them late. */
  settle(): Promise<void>;
}

type Sum = { -readonly [Key in keyof OpProfile]: OpProfile[Key] };

const NOTHING: Meter = { launches: 0, milliseconds: undefined, waiting: 0 };

/** Watches what runs on a backend. `ceiling` is what its kernels are held against in a table. */
export function profiled<B extends Backend>(backend: B, ceiling?: Ceiling): Profiled<B> {
  const meter = backend.meter?.() ?? NOTHING;
  const { clock } = meter;
  /** The device's times when this began. */
  let before = new Map<string, number>();
  let sums = new Map<string, Sum>();
  const now = (): number => performance.now();
  let started = now();
  let reading = 0;
  /** What profiling took itself. */
  let own = 0;
  /** When the last call ended, if nothing but the engine's own work can have followed it. */
  let since: number | undefined;
  let isPaused = false;

  const call = (name: { op: string; variant: string }, run: () => void, work: () => KernelWork): void => {
    if (isPaused) {
      run();
      return;
    }
    const { launches, milliseconds, waiting } = meter;
    const key = `${name.op} ${name.variant}`;
    const begin = now();
    clock?.label(key);
    run();
    clock?.label(undefined);
    const end = now();
    const sum = memo(sums, key, () => ({
      ...{ ...name, calls: 0, flops: 0, bytes: 0, waiting: 0, host: 0 },
      launches: backend.meter && 0,
      milliseconds: milliseconds === undefined ? undefined : 0,
    }));
    const held = milliseconds === undefined ? undefined : meter.milliseconds! - milliseconds;
    const { flops, bytes } = work();
    sum.calls++;
    sum.flops += flops;
    sum.bytes += bytes;
    sum.waiting += meter.waiting - waiting;
    sum.host += end - (since ?? begin) - (held ?? 0);
    if (sum.launches !== undefined) sum.launches += meter.launches - launches;
    if (held !== undefined) sum.milliseconds! += held;
    since = now();
    own += since - end;
  };

  const watch = (op: string, override: Override<object>): Override<object> => ({
    ...override,
    run: (given: OverrideCall<object>) =>
      call(
        { op, variant: given.variant },
        () => override.run(given),
        () => workOfOp(op, given),
      ),
  });
  const overrides = Object.fromEntries(
    Object.entries(backend.overrides as Record<string, Override<object>>).map(([op, override]) => [
      op,
      watch(op, override),
    ]),
  ) as Overrides;

  const watched: Partial<Backend> = {
    overrides,
    run: (kernel, launch) =>
      call(
        { op: kernel.name, variant: "generated" },
        () => backend.run(kernel, launch),
        () => workOfKernel(kernel, launch),
      ),
    // What was written the program has made, and how long that took is not the next op's.
    write(target, data) {
      backend.write(target, data);
      since = now();
    },
    async read(sources) {
      const begin = now();
      try {
        return await backend.read(sources);
      } finally {
        reading += now() - begin;
        since = undefined;
      }
    },
    ...(backend.precompile && {
      async precompile(work: () => void) {
        isPaused = true;
        try {
          await backend.precompile!(work);
        } finally {
          isPaused = false;
          since = undefined;
        }
      },
    }),
  };

  const profile = ({ restart = false } = {}): Profile => {
    const onDevice = (key: string): number => clock!.milliseconds.get(key)! - (before.get(key) ?? 0);
    const ops = [...sums].map(([key, sum]) => ({
      ...sum,
      ...(clock?.milliseconds.has(key) && { milliseconds: onDevice(key) }),
    }));
    const weight = ({ milliseconds = 0, host }: OpProfile): number => milliseconds + host;
    ops.sort((a, b) => weight(b) - weight(a));
    const wall = now() - started - own;
    const onHost = (op: OpProfile): number => (clock ? op.host : weight(op));
    const elsewhere = wall - reading - ops.reduce((sum, each) => sum + onHost(each), 0);
    const seen = { ops, wall, reading, elsewhere, ceiling, beside: clock !== undefined };
    if (restart) {
      before = new Map(clock?.milliseconds);
      sums = new Map();
      started = now();
      reading = own = 0;
      since = undefined;
    }
    return seen;
  };
  const properties = Object.entries(watched).map(([key, value]) => [key, { value }]);
  const settle = async (): Promise<void> => await clock?.settle();
  return { backend: Object.create(backend, Object.fromEntries(properties)) as B, profile, settle };
}
