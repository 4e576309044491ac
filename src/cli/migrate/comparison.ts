// The comparison of both sides at one revision of the source.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Client, KvRecord } from '../../client/index.ts'
import { type Difference, findDifference, type RecordPair } from './scan.ts'
import type { TargetKeys } from './target-keys.ts'

/** Limit on the differing keys that a result names. */
const NAMED_MAX = 100
/** How often the source is read for a key whose lease has ended, and the pause before each read. */
const DELETED_READS = 10
const DELETED_PAUSE_MS = 50

export interface KeyDifference {
  readonly key: Uint8Array
  readonly difference: Difference
  /** Somebody else has changed it in the target. */
  readonly isForeign: boolean
}

export class Comparison {
  /** Keys of the source. */
  keys = 0
  different = 0
  /** Differences that a change explains which the source has made and the target has not received. */
  outstanding = 0
  /** The first differences. */
  readonly differences: KeyDifference[] = []
  readonly #source: Client
  readonly #targetKeys: TargetKeys
  readonly #position: number
  readonly #signal: AbortSignal
  /** Whether each lease of a key has ended in the source. */
  readonly #leases = new Map<string, boolean>()
  #deletedReads = DELETED_READS

  /** `position`: the revision of the source whose changes the target has. */
  constructor(source: Client, targetKeys: TargetKeys, position: number, signal: AbortSignal) {
    this.#source = source
    this.#targetKeys = targetKeys
    this.#position = position
    this.#signal = signal
  }

  /** The number of leases of the keys. */
  get leases(): number {
    return this.#leases.size
  }

  async add(pair: RecordPair): Promise<void> {
    const { key, ours, copy } = pair
    const lease = ours?.lease
    if (ours !== undefined) this.keys += 1
    if (lease !== undefined && !this.#leases.has(lease)) this.#leases.set(lease, false)
    const difference = findDifference(pair)
    if (difference === undefined) return
    const isGone = lease !== undefined && difference === 'missing' && (await this.#isEnded(lease))
    if (isGone && (await this.#isDeleted(ours))) return
    const isForeign = this.#targetKeys.isForeign(key, copy)
    const isNew = ours === undefined || ours.modRevision > this.#position
    if (isNew && !isForeign) this.outstanding += 1
    this.different += 1
    if (this.differences.length < NAMED_MAX) this.differences.push({ key, difference, isForeign })
  }

  async #isEnded(id: string): Promise<boolean> {
    if (this.#leases.get(id) === true) return true
    const isEnded = (await this.#source.lease(id, { signal: this.#signal })) === undefined
    this.#leases.set(id, isEnded)
    return isEnded
  }

  /** Whether the source has deleted a key with its lease. A damaged etcd may keep the key for ever. */
  async #isDeleted(record: KvRecord | undefined): Promise<boolean> {
    if (record === undefined) return true
    const { keyBytes, modRevision } = record
    for (let reads = 1; ; reads++) {
      const now = await this.#source.get(keyBytes, { signal: this.#signal })
      if (now?.modRevision !== modRevision) return true
      if (reads >= this.#deletedReads) break
      await sleep(DELETED_PAUSE_MS)
    }
    // There are others, most likely.
    this.#deletedReads = 1
    return false
  }
}
