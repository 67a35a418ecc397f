import type { Backend } from "@dfine/tensor";
import type { Cost, Implementation, Learned, Subject } from "./row.ts";
import type { Run } from "./sampling.ts";

/** One of the implementations that are measured side by side. */
export interface Contender {
  readonly implementation: Implementation;
  readonly run: Run;
  /** What a run gives, one array per output, for those whose results must agree. */
  readonly outputs?: () => Promise<readonly ArrayLike<number>[]>;
  /** Of what learns, once it has run. */
  readonly learned?: () => Learned | undefined;
  readonly dispose: () => unknown;
}

/** What peers are asked with. */
export interface PeerInputs {
  /** In the order of the peer's own inputs. */
  readonly inputs: readonly HostArray[];
  readonly threads: number;
}

export interface HostArray {
  readonly data: Float32Array;
  readonly shape: readonly number[];
}

/** A peer, or why there is none. */
export type Peer =
  | { readonly implementation: Implementation; readonly start: () => Promise<Contender> }
  | { readonly implementation: Implementation; readonly reason: string };

/** A work with its data, ready for anyone to do. */
export interface Work {
  readonly subject: Subject;
  readonly cost: Cost;
  /** Our implementation. The backend is the current one. */
  readonly ours: (backend: Backend) => Promise<Contender>;
  readonly peers: readonly Peer[];
  /** "values": all must give the same numbers; "sizes": weights differ, and results agree in size alone. */
  readonly agreement: "values" | "sizes";
}
