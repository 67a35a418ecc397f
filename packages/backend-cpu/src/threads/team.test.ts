import { BackendError } from "@dfine/tensor";
import { describe, expect, it, vi } from "vitest";
import { Heap } from "../memory/heap.ts";
import type { LoadedKernel } from "../wasm/instances.ts";
import { BOARD, SLOTS } from "./board.ts";
import type { SpawnOptions } from "./spawn.ts";
import { Team } from "./team.ts";

const heap = () => new Heap({ shared: true, limitBytes: 2 ** 24 });
const terminate = () => {};

describe("ready", () => {
  it("resolves once all workers run, however often it is asked", async () => {
    const memory = heap();
    const team = new Team(memory, { threads: 3, own: 0, deadlineMilliseconds: 20_000 });
    const board = new Int32Array(memory.memory.buffer, 64);
    await Promise.all([team.ready(), team.ready()]);
    expect(board[BOARD.started]).toBe(2);
    await team.ready();
    team.dispose();
  });

  it("finds all workers asleep soon after: an idle team takes no time from others", async () => {
    const memory = heap();
    const team = new Team(memory, { threads: 3, own: 0, deadlineMilliseconds: 20_000 });
    const board = new Int32Array(memory.memory.buffer, 64);
    await team.ready();
    await vi.waitFor(() => expect(board[BOARD.sleepers]).toBe(2), 10_000);
    team.dispose();
  });

  it("says why a worker cannot start, and what to do", async () => {
    const spawn = ({ onError }: SpawnOptions) => {
      setTimeout(() => onError("forbidden by the house"), 5);
      return { terminate };
    };
    const team = new Team(heap(), { threads: 2, own: 0, deadlineMilliseconds: 20_000, spawn });
    const failure = team.ready();
    await expect(failure).rejects.toThrow(BackendError);
    await expect(failure).rejects.toThrow(
      "cpu: worker threads cannot start here: forbidden by the house; or use threads: 1",
    );
  });

  it("gives a silent worker up at the deadline", async () => {
    const team = new Team(heap(), { threads: 2, own: 0, deadlineMilliseconds: 20, spawn: () => ({ terminate }) });
    await expect(team.ready()).rejects.toThrow("it does not answer");
  });
});

describe("queue, where no worker ever answers", () => {
  const alone = (memory: Heap) =>
    new Team(memory, {
      threads: 2,
      own: 0,
      deadlineMilliseconds: 20_000,
      spawn: () => ({ hand: () => true, terminate }),
    });
  const kernel = (name: string, run: LoadedKernel["run"], number = 0): LoadedKernel => ({
    ...{ name, number, run, bytes: new Uint8Array(), published: undefined },
    module: new WebAssembly.Module(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)),
  });

  it("runs nothing before it must: when slots run out, or results are wanted", () => {
    const memory = heap();
    const team = alone(memory);
    const ran: number[][] = [];
    const note = kernel("note", (args, begin, end) => ran.push([memory.i32()[args / 4]!, begin, end]));
    const launch = (number: number) => team.queue(note, { args: [number, 0], units: 5, grain: 3 });
    for (let i = 0; i < SLOTS; i++) launch(i);
    expect(ran).toEqual([]);
    launch(SLOTS);
    const chunks = (count: number) =>
      Array.from({ length: count }, (_, i) => [
        [i, 0, 3],
        [i, 3, 5],
      ]).flat();
    expect(ran).toEqual(chunks(SLOTS / 2));
    for (let i = 1; i < SLOTS / 2; i++) launch(SLOTS + i);
    expect(ran).toEqual(chunks(SLOTS / 2));
    team.workUntil(SLOTS / 2 + 7);
    expect(ran).toEqual(chunks(SLOTS / 2 + 7));
    team.finish();
    team.finish();
    expect(ran).toEqual(chunks(SLOTS + SLOTS / 2));
  });

  it("tells of a failure at the next chance, by the kernel's name, and runs nothing after it", () => {
    for (const later of [0, 1, SLOTS - 1, SLOTS]) {
      const team = alone(heap());
      const run = vi.fn();
      const broken = kernel("broken", () => {
        throw new RangeError("beyond");
      });
      team.queue(broken, { args: [], units: 2, grain: 1 });
      const sound = kernel("sound", run, 1);
      for (let i = 0; i < later; i++) team.queue(sound, { args: [], units: 1, grain: 1 });
      const message = "cpu: broken failed: RangeError: beyond";
      if (later === SLOTS) expect(() => team.queue(sound, { args: [], units: 1, grain: 1 })).toThrow(message);
      expect(() => team.finish()).toThrow(message);
      expect(team.failure).toBe(message.slice(5));
      expect(run).not.toHaveBeenCalled();
    }
  });
});
