// Events of the parts of a node. A part gets the parts that it uses by its constructor. Its effects on parts that are
// made after it, and on the core, go through `NodeEvents` to the driver.

import type { ApplyResult, Steps } from '../../kv/index.ts'
import type { Entry, Input, LogIndex, WriteNumber } from '../../raft/types.ts'
import type { NodeEnd } from '../options.ts'

/** A batch that has become durable. */
export interface StoredBatch {
  readonly entries: number
  /** Whether a snapshot in the batch has become the state. */
  readonly installed: boolean
  /** The newest write of the core that is completely durable, with this batch or earlier; 0 if there is none. */
  readonly write: WriteNumber
  /** The newest write whose term and vote are durable. */
  readonly termWrite: WriteNumber
  /** The duration of the batch. */
  readonly ms: number
}

export interface NodeEvents {
  /**
   * Takes a step of the core, unless the node has ended, and carries out its output. `refuse`: called with the reason
   * if the core refuses the transfer of leadership that `input` requests.
   */
  step(input: Input, refuse?: (detail: string) => void): void
  /** A request waits: a step follows at the end of this turn of the event loop. */
  wake(): void
  batchStored(batch: StoredBatch): void
  /** An entry of the core is about to be applied. */
  coreEntryApplied(index: LogIndex): void
  /** The core has applied an entry of its own, which may have changed its configuration. */
  configurationApplied(): void
  /** An entry is applied. The returned steps, if any, are taken before the next entry. */
  entryApplied(entry: Entry, result: ApplyResult | undefined): Steps<void> | undefined
  /** An entry writes the row of a lease. The bytes are valid until the call returns. undefined: the row is deleted. */
  leaseChanged(rowKey: Uint8Array, row: Uint8Array | undefined, clusterTimeMs: number): void
  /** An entry has written this row of users and roles. Called when others see it. */
  authChanged(rowKey: Uint8Array): void
  /** Entries were applied, up to `index`. */
  entriesApplied(count: number, index: LogIndex): void
  /** The node is about to end without what its disk has not stored: no further batch is submitted. */
  abandoned(): void
  /** The node ends after a grace time for this reason. Its watches end now. */
  leaving(reason: string): void
  /** The node has ended. Every open request gets its answer. */
  ended(end: NodeEnd): void
}
