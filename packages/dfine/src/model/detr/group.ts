import { Module } from "@dfine/nn";
import type { Tensor } from "@dfine/tensor";

/** What a module holds, by its fields. */
export type Members = Readonly<Record<string, Module | readonly (Module | undefined)[] | Tensor | undefined>>;

/** Modules and tensors under names of the state dict; it computes nothing itself. */
export class Group extends Module<[], void> {
  constructor(members: Members) {
    super();
    Object.assign(this, members);
  }

  protected forward(): void {}
}
