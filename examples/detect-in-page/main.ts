import type { DetectedObject } from "dfine";
import { DEVICES, type Detecting, type PageDevice } from "./messages.ts";

const element = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const weights = element<HTMLInputElement>("weights");
const device = element<HTMLSelectElement>("device");
const image = element<HTMLInputElement>("image");
const threshold = element<HTMLInputElement>("threshold");
const status = element<HTMLOutputElement>("status");
const save = element("save");
const view = element<HTMLCanvasElement>("view");

const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });

/** Calls a function of the worker. @throws Error with the message of the worker's own */
function ask<Name extends keyof Detecting>(
  name: Name,
  ...args: Parameters<Detecting[Name]>
): ReturnType<Detecting[Name]> {
  const { port1, port2 } = new MessageChannel();
  const answer = new Promise((resolve, reject) => {
    port1.onmessage = ({ data }) => ("error" in data ? reject(new Error(data.error)) : resolve(data.value));
  });
  worker.postMessage({ name, args }, [port2]);
  return answer as ReturnType<Detecting[Name]>;
}

async function open(): Promise<void> {
  const file = weights.files?.[0];
  if (!file) return;
  status.value = `Opening ${file.name} …`;
  const opened = await ask("open", file, device.value as PageDevice);
  status.value = `Ready to find ${opened.names.length} kinds of objects on ${opened.device}.`;
  await detect();
}

async function detect(): Promise<void> {
  const file = image.files?.[0];
  if (!file || !weights.files?.[0]) return;
  status.value = "Looking …";
  const { objects, milliseconds } = await ask("detect", file, Number(threshold.value));
  await draw(file, objects);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(objects)], { type: "application/json" }));
  link.download = "objects.json";
  link.textContent = "Save as JSON";
  save.replaceChildren(link);
  status.value = `${objects.length} objects in ${milliseconds.toFixed(0)} ms.`;
}

async function draw(file: File, objects: readonly DetectedObject[]): Promise<void> {
  const bitmap = await createImageBitmap(file);
  const context = view.getContext("2d")!;
  [view.width, view.height] = [bitmap.width, bitmap.height];
  context.drawImage(bitmap, 0, 0);
  const unit = Math.max(1, Math.max(view.width, view.height) / 400);
  context.lineWidth = 2 * unit;
  context.font = `${10 * unit}px system-ui`;
  // The best on top.
  for (const { label, classId, score, box } of [...objects].reverse()) {
    context.strokeStyle = context.fillStyle = `hsl(${classId * 137.5} 85% 45%)`;
    context.strokeRect(box.xmin, box.ymin, box.xmax - box.xmin, box.ymax - box.ymin);
    context.fillText(`${label} ${score.toFixed(2)}`, box.xmin + 2 * unit, Math.max(box.ymin - 3 * unit, 10 * unit));
  }
}

/** Does one thing after the other, and shows what goes wrong. */
let work = Promise.resolve();
const then = (task: () => Promise<void>) => () => {
  work = work.then(task).catch((error: Error) => {
    status.value = error.message;
  });
};

device.append(...DEVICES.map((name) => new Option(name)));
weights.onchange = device.onchange = then(open);
image.onchange = threshold.onchange = then(detect);
