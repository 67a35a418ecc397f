import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PbfReader } from "pbf";
import { afterAll, expect, test } from "vitest";
import { crc32c, TensorBoard } from "./tensorBoard.ts";

const root = mkdtempSync(join(tmpdir(), "dfine-board-"));
afterAll(() => rmSync(root, { recursive: true }));

const losses = { loss_vfl: 0.5, loss_bbox: 1.25 };
const step = (step: number, replayed = false) => ({
  ...({ kind: "step", epoch: 0, stepInEpoch: step, stepsPerEpoch: 40, stepsInAll: 40, images: 2, seconds: 1 } as const),
  ...{ step, learningRate: 0.25, loss: 1.75, losses, gradientNorm: 3, skipped: false, replayed },
});

/** Fields of a message, those named `deep` as messages again. */
function fields(bytes: Uint8Array, read: (field: number, pbf: PbfReader) => unknown): [number, unknown][] {
  const pbf = new PbfReader(bytes);
  const found: [number, unknown][] = [];
  for (let field = pbf.nextField(); field > 0; field = pbf.nextField()) found.push([field, read(field, pbf)]);
  return found;
}

const value = (bytes: Uint8Array) =>
  fields(bytes, (field, pbf) => (field === 1 ? pbf.readString() : pbf.readFloat())).map(([, one]) => one);
const event = (bytes: Uint8Array) =>
  Object.fromEntries(
    fields(bytes, (field, pbf) => {
      if (field === 1) return pbf.readDouble();
      if (field === 2) return pbf.readVarint();
      if (field === 3) return pbf.readString();
      return fields(pbf.readBytes(), (_, inner) => (field === 5 ? value(inner.readBytes()) : inner.readVarint()));
    }),
  );

/** Events of the file that came last, whose checksums are those of TensorFlow's format. */
function written(folder: string) {
  const bytes = readFileSync(join(folder, readdirSync(folder).sort().at(-1)!));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const unmasked = (at: number) => {
    const rotated = (view.getUint32(at, true) - 0xa282ead8) >>> 0;
    return ((rotated >>> 17) | (rotated << 15)) >>> 0;
  };
  const events: ReturnType<typeof event>[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Number(view.getBigUint64(at, true));
    const data = bytes.subarray(at + 12, at + 12 + length);
    expect(unmasked(at + 8)).toBe(crc32c(bytes.subarray(at, at + 8)));
    expect(unmasked(at + 12 + length)).toBe(crc32c(data));
    events.push(event(data));
    at += length + 16;
  }
  return { events, bytes };
}

test("the checksum is Castagnoli's", () => {
  // RFC 3720, B.4, and the usual check value.
  expect(crc32c(new TextEncoder().encode("123456789"))).toBe(0xe3069283);
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(new Uint8Array(32).fill(255))).toBe(0x62a8ab43);
});

test("a file begins as TensorFlow's do, and has every tenth step and every epoch", async () => {
  const folder = join(root, "new");
  const board = await TensorBoard.open(folder, 0);
  for (let i = 1; i <= 20; i++) await board.take(step(i));
  await board.take(step(10, true));
  const facts = { skipped: 0, learningRate: 0.25, seconds: 1, best: true, complete: true, evaluation: undefined };
  await board.take({ kind: "epoch", epoch: 0, step: 20, losses, loss: 1.5, ...facts });
  const { events, bytes } = written(folder);
  // Length 24 and its masked checksum, as in every file of TensorFlow.
  expect(bytes.subarray(0, 12).toString("hex")).toBe("1800000000000000a37f4b22");
  expect(events.map((one) => one[2])).toEqual([undefined, 10, 20, 20]);
  expect(events[0]![3]).toBe("brain.Event:2");
  expect(events[1]![5]).toEqual([
    [1, ["Loss/total", 1.75]],
    [1, ["Loss/loss_vfl", 0.5]],
    [1, ["Loss/loss_bbox", 1.25]],
    [1, ["Lr", 0.25]],
    [1, ["Gradient norm", 3]],
  ]);
  expect(events[3]![5]).toEqual([[1, ["Epoch/loss", 1.5]]]);
});

test("a run that goes on takes back what was written after its save", async () => {
  const folder = join(root, "resumed");
  await (await TensorBoard.open(folder, 0)).take(step(30));
  await new Promise((resolve) => setTimeout(resolve, 2));
  await TensorBoard.open(folder, 20);
  expect(readdirSync(folder)).toHaveLength(2);
  const { events } = written(folder);
  expect([events[1]![2], events[1]![7]]).toEqual([21, [[1, 1]]]);
});
