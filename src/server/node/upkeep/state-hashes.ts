// Replicas send each other the hash of their rows at equal indexes (NODE-6). Apply is deterministic, so a difference
// means that one of them is wrong: because of a bug, or because a disk returned other bytes than it was given.

import type { LogIndex, ReplicaId } from '../../../raft/types.ts'
import type { StateHashAt } from '../network.ts'

const INDEXES_KEPT = 64

type HashVerdict =
  | { readonly kind: 'equal' }
  /** All voters have reported an equal hash. A difference at lower indexes is over. */
  | { readonly kind: 'all-equal' }
  /** Replicas differ, and this one is not known to be wrong. */
  | { readonly kind: 'differs'; readonly detail: string }
  /** A majority of the voters agrees on another hash: this replica must stop. */
  | { readonly kind: 'diverged'; readonly detail: string }

export class StateHashes {
  readonly #self: ReplicaId
  readonly #byIndex = new Map<LogIndex, Map<ReplicaId, bigint>>()
  /** The last index at which replicas differed. */
  #differedAt = 0

  constructor(self: ReplicaId) {
    this.#self = self
  }

  /** Takes a report of a peer or of this replica, and judges its index. */
  report(from: ReplicaId, { index, hash }: StateHashAt, voters: readonly ReplicaId[]): HashVerdict {
    let reports = this.#byIndex.get(index)
    if (reports === undefined) {
      reports = new Map()
      this.#byIndex.set(index, reports)
      this.#forgetOldest()
    }
    reports.set(from, hash)
    const own = reports.get(this.#self)
    if (own === undefined) return { kind: 'equal' }
    const others = [...reports].filter(([, theirs]) => theirs !== own)
    if (others.length === 0) {
      const isAll = index > this.#differedAt && voters.every((id) => reports.has(id))
      return { kind: isAll ? 'all-equal' : 'equal' }
    }
    this.#differedAt = Math.max(this.#differedAt, index)
    for (const [, theirs] of others) {
      const agreeing = voters.filter((id) => reports.get(id) === theirs)
      if (agreeing.length > voters.length / 2) {
        const detail = `at index ${index} a majority of the voters (${agreeing.join(', ')}) has state hash ${hex(theirs)}, this replica ${hex(own)}`
        return { kind: 'diverged', detail }
      }
    }
    const detail = `at index ${index} the state hash here is ${hex(own)}, at ${others.map(([id, theirs]) => `${id} ${hex(theirs)}`).join(', ')}`
    return { kind: 'differs', detail }
  }

  #forgetOldest(): void {
    if (this.#byIndex.size <= INDEXES_KEPT) return
    let oldest: LogIndex | undefined
    for (const index of this.#byIndex.keys()) if (oldest === undefined || index < oldest) oldest = index
    if (oldest !== undefined) this.#byIndex.delete(oldest)
  }
}

export const hex = (hash: bigint): string => hash.toString(16).padStart(16, '0')
