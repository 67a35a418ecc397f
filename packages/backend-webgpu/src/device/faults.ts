import { BackendError, DeviceLostError } from "@dfine/tensor";

/**
 * What went wrong on the device. WebGPU tells of errors later, by promises: the first one is kept, and thrown by every call
 * from then on, so that no result of a failed command is ever handed out.
 */
export class Faults {
  readonly #device: GPUDevice;
  readonly #name: string;
  /** Resolves when it is known of all that was watched so far. */
  #known: Promise<unknown> = Promise.resolve();
  #failure: BackendError | undefined;
  #disposed = false;

  /** `name` is the adapter's. */
  constructor(device: GPUDevice, name: string) {
    this.#device = device;
    this.#name = name;
    void device.lost.then(({ reason, message }) => this.#lost(reason, message));
    device.onuncapturederror = ({ error }) => this.fail(new BackendError(`webgpu: ${name}: ${error.message}`));
  }

  /** @throws BackendError if the device failed before, DeviceLostError if it is gone */
  check(): void {
    if (this.#failure) throw this.#failure;
  }

  fail(error: BackendError): void {
    this.#failure ??= error;
  }

  dispose(): void {
    this.#disposed = true;
    this.fail(new BackendError("webgpu: this backend was disposed; make a new one with webgpu()"));
  }

  /** Runs `body` and watches for errors of one kind; `explain` makes the error for people. */
  watch<T>(filter: GPUErrorFilter, explain: (message: string) => BackendError, body: () => T): T {
    this.#device.pushErrorScope(filter);
    try {
      return body();
    } finally {
      const settled = this.#device.popErrorScope().then(
        (error) => error && this.fail(explain(error.message)),
        () => undefined,
      );
      this.#known = Promise.all([this.#known, settled]);
    }
  }

  /** Resolves when all that was watched so far is known to be right. @throws BackendError, DeviceLostError */
  async settle(): Promise<void> {
    await this.#known;
    this.check();
  }

  /** The reason why a promise of the device was rejected. */
  async explain(error: unknown): Promise<BackendError> {
    // Losing the device rejects what is pending first, and says why an instant later.
    await Promise.race([this.#device.lost, new Promise((resolve) => setTimeout(resolve, 50))]);
    return this.#failure ?? new BackendError(`webgpu: ${this.#name}: ${String(error)}`);
  }

  #lost(reason: string, message: string): void {
    if (this.#disposed) return;
    this.#failure = new DeviceLostError(
      `webgpu: ${this.#name} is lost${reason === "destroyed" ? " (destroyed)" : ""}${message ? `: ${message}` : ""}; what it held is gone. Make a new backend and restore the last state saved`,
    );
  }
}
