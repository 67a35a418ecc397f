import type { Detection } from "dfine";
import { DEVICES, type PageDevice, type Sample, type Start, type Told } from "./messages.ts";

const element = <T extends Element = HTMLElement>(id: string) => document.getElementById(id) as unknown as T;
const device = element<HTMLSelectElement>("device");
const images = element<HTMLInputElement>("images");
const startButton = element<HTMLButtonElement>("start");
const stopButton = element<HTMLButtonElement>("stop");
const status = element<HTMLOutputElement>("status");
const chart = element<SVGSVGElement>("chart");
const curve = element<SVGPolylineElement>("curve");
const highest = element("highest");
const steps = element("steps");
const view = element<HTMLCanvasElement>("view");
const judged = element("judged");
const save = element("save");

let worker: Worker | undefined;
let samples: readonly Sample[] = [];
let names: readonly string[] = [];

function start(): void {
  if (!images.reportValidity()) return;
  stop();
  curve.points.clear();
  judged.textContent = "";
  save.replaceChildren();
  status.value = `Opening ${device.value} …`;
  worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  worker.onmessage = ({ data }: MessageEvent<Told>) => show(data);
  worker.onerror = ({ message }) => show({ kind: "error", message });
  const order: Start = { device: device.value as PageDevice, images: images.valueAsNumber };
  worker.postMessage(order);
  toggle();
}

/** A worker that computes reads no messages, so it is ended; the weights of its last tenth step stay to be saved. */
function stop(): void {
  worker?.terminate();
  worker = undefined;
  toggle();
}

function toggle(): void {
  startButton.disabled = worker !== undefined;
  stopButton.disabled = worker === undefined;
}

function show(told: Told): void {
  switch (told.kind) {
    case "samples":
      ({ samples, names } = told);
      draw([]);
      break;
    case "step":
      status.value = `Step ${told.step}: loss ${told.loss.toFixed(2)}, ${told.milliseconds.toFixed(0)} ms`;
      plot(told.step, told.loss);
      break;
    case "found":
      judged.textContent = `AP ${told.ap.toFixed(2)}`;
      offer(told.weights);
      draw(told.detections);
      break;
    case "error":
      status.value = told.message;
      stop();
      break;
    default:
      told satisfies never;
  }
}

/** The curve's points are steps and losses as they are; what part of the plane is seen follows them. */
function plot(step: number, loss: number): void {
  curve.points.appendItem(Object.assign(chart.createSVGPoint(), { x: step, y: loss }));
  const top = Math.max(...Array.from(curve.points, ({ y }) => y));
  chart.setAttribute("viewBox", `1 0 ${Math.max(step - 1, 1)} ${top}`);
  highest.textContent = top.toFixed(0);
  steps.textContent = `${step} steps`;
}

/** Pixels of the canvas for one of an image, so that boxes and letters are fine. */
const SCALE = 3;
const COLUMNS = 4;
const GAP = 6;
const LOWEST_SCORE = 0.4;

function draw(detections: readonly Detection[]): void {
  const context = view.getContext("2d")!;
  const side = SCALE * (samples[0]?.image.width ?? 0);
  view.width = COLUMNS * (side + GAP) - GAP;
  view.height = Math.ceil(samples.length / COLUMNS) * (side + GAP) - GAP;
  context.imageSmoothingEnabled = false;
  context.lineWidth = 3;
  context.font = "20px system-ui";
  samples.forEach(({ id, image }, i) => {
    const [left, top] = [(side + GAP) * (i % COLUMNS), (side + GAP) * Math.floor(i / COLUMNS)];
    context.putImageData(image, left, top);
    context.drawImage(view, left, top, image.width, image.height, left, top, side, side);
    for (const { imageId, categoryId, bbox, score } of detections) {
      if (imageId !== id || score < LOWEST_SCORE) continue;
      const [x, y, width, height] = bbox.map((pixels) => SCALE * pixels) as [number, number, number, number];
      context.strokeStyle = context.fillStyle = `hsl(${30 + categoryId * 137.5} 95% 65%)`;
      context.strokeRect(left + x, top + y, width, height);
      context.fillText(`${names[categoryId]} ${score.toFixed(2)}`, left + x, Math.max(top + y - 6, top + 18));
    }
  });
}

function offer(weights: Uint8Array<ArrayBuffer>): void {
  save.querySelectorAll("a").forEach(({ href }) => {
    URL.revokeObjectURL(href);
  });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([weights]));
  link.download = "shapes.safetensors";
  link.textContent = "Save the weights";
  save.replaceChildren(link);
}

device.append(...DEVICES.map((name) => new Option(name)));
startButton.onclick = start;
stopButton.onclick = stop;
