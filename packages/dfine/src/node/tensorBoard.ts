import { hostname } from "node:os";
import { join } from "node:path";
import { PbfWriter } from "pbf";
import type { EpochEvent, StepEvent, TrainEvent } from "../train/events.ts";
import { appendTo } from "./checkpointFile.ts";
import { makeFolder } from "./runFolder.ts";

/** Steps between those that are written, as the official trainer does. */
const EVERY = 10;

/** Castagnoli's CRC, by bytes. */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? 0x82f63b78 : 0);
  return value;
});

export function crc32c(bytes: Uint8Array): number {
  let value = 0xffffffff;
  for (const byte of bytes) value = TABLE[(value ^ byte) & 255]! ^ (value >>> 8);
  return ~value >>> 0;
}

/** As TFRecord stores it, so that a checksum of data with checksums in it stays sound. */
function masked(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** A record of a TFRecord file: length, its checksum, data, its checksum. */
function recordOf(data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(data.length + 16);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, masked(bytes.subarray(0, 8)), true);
  bytes.set(data, 12);
  view.setUint32(12 + data.length, masked(data), true);
  return bytes;
}

type Scalars = Readonly<Record<string, number>>;

/** Field numbers are those of event.proto and summary.proto of TensorFlow. */
function eventRecord(step: number, write: (pbf: PbfWriter) => void): Uint8Array {
  const pbf = new PbfWriter();
  pbf.writeDoubleField(1, Date.now() / 1000);
  if (step > 0) pbf.writeVarintField(2, step);
  write(pbf);
  return recordOf(pbf.finish());
}

const version = (): Uint8Array => eventRecord(0, (pbf) => pbf.writeStringField(3, "brain.Event:2"));

/** Says that what was written from this step on, by a process that went further than its last save, does not count. */
const restart = (step: number): Uint8Array =>
  eventRecord(step, (pbf) => pbf.writeMessage(7, (_: null, log) => log.writeVarintField(1, 1), null));

const summary = (step: number, scalars: Scalars): Uint8Array =>
  eventRecord(step, (pbf) => {
    const value = ([tag, number]: [string, number], one: PbfWriter) => {
      one.writeStringField(1, tag);
      one.writeFloatField(2, number);
    };
    const values = (all: Scalars, inner: PbfWriter) => {
      for (const entry of Object.entries(all)) inner.writeMessage(1, value, entry);
    };
    pbf.writeMessage(5, values, scalars);
  });

const prefixed = (prefix: string, scalars: Scalars): Scalars =>
  Object.fromEntries(Object.entries(scalars).map(([name, value]) => [`${prefix}/${name}`, value]));

const stepScalars = ({ loss, losses, learningRate, gradientNorm }: StepEvent): Scalars => ({
  "Loss/total": loss,
  ...prefixed("Loss", losses),
  Lr: learningRate,
  "Gradient norm": gradientNorm,
});

const epochScalars = ({ loss, evaluation }: EpochEvent): Scalars => ({
  "Epoch/loss": loss,
  ...prefixed("Test", evaluation?.result.stats ?? {}),
});

/** Writes a run's curves where TensorBoard finds them: a file for each process, of which later ones take back what is repeated. */
export class TensorBoard {
  readonly #file: string;

  private constructor(file: string) {
    this.#file = file;
  }

  /** Begins a file in `folder`; `step` is the number of steps that are done. @throws FileWriteError */
  static async open(folder: string, step: number): Promise<TensorBoard> {
    await makeFolder(folder);
    const board = new TensorBoard(join(folder, `events.out.tfevents.${Date.now()}.${hostname()}.${process.pid}`));
    await board.#write(version());
    if (step > 0) await board.#write(restart(step + 1));
    return board;
  }

  /** Writes what an event says: every tenth step, every epoch. @throws FileWriteError */
  async take(event: TrainEvent): Promise<void> {
    if (event.kind === "step" && event.step % EVERY === 0 && !event.replayed)
      await this.#write(summary(event.step, stepScalars(event)));
    if (event.kind === "epoch") await this.#write(summary(event.step, epochScalars(event)));
  }

  #write(record: Uint8Array): Promise<void> {
    return appendTo(this.#file, record);
  }
}
