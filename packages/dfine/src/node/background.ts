/** Files that are written while training goes on, one set after the other. */
export class Background {
  #writing: Promise<void> = Promise.resolve();

  /** Begins with `write` once what was begun before is done. @throws what that threw */
  async begin(write: () => Promise<void>): Promise<void> {
    await this.#writing;
    this.#writing = write();
    // It is thrown by the next call.
    this.#writing.catch(() => {});
  }

  /** Waits until everything is on the disk. @throws what writing threw */
  end(): Promise<void> {
    return this.#writing;
  }
}
