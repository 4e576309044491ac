// Keys of the target as the migration has left them: the revision of the last change of each. A key with another
// revision was written by somebody else. The migration never replaces such a key.

import type { Client, KvRecord } from '../../client/index.ts'
import { Failure } from '../../local/failure.ts'
import { EXIT } from '../exit-codes.ts'
import { changeKey, type SourceChange } from './changes.ts'
import type { ExpectedKey } from './position.ts'
import { keyText } from './target-limits.ts'

const READS_AT_ONCE = 64
/** Limit on the keys that a failure names. */
const NAMED_MAX = 10

interface CopiedKey {
  readonly modRevision: number
  /** It has a lease, so it may end in the target alone. */
  readonly isLeased: boolean
}

const nameOf = (key: Uint8Array): string =>
  Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1')

export class TargetKeys {
  readonly #keys = new Map<string, CopiedKey>()

  /** Notes a record of the target that the migration has written. */
  add({ keyBytes, modRevision, lease }: KvRecord): void {
    this.#keys.set(nameOf(keyBytes), { modRevision, isLeased: lease !== undefined })
  }

  /** Notes a transaction of the migration. `revision`: of the target. */
  apply(changes: readonly SourceChange[], revision: number): void {
    for (const change of changes) {
      const name = nameOf(changeKey(change))
      if (change.type === 'delete') this.#keys.delete(name)
      else this.#keys.set(name, { modRevision: revision, isLeased: change.record.lease !== undefined })
    }
  }

  expect(changes: readonly SourceChange[]): readonly ExpectedKey[] {
    return changes.map((change) => {
      const key = changeKey(change)
      return { key, modRevision: this.#keys.get(nameOf(key))?.modRevision ?? 0 }
    })
  }

  /** Whether somebody else has written or deleted the key. `record`: what the target has; undefined: nothing. */
  isForeign(key: Uint8Array, record: KvRecord | undefined): boolean {
    const copied = this.#keys.get(nameOf(key))
    if (record === undefined) return copied !== undefined && !copied.isLeased
    return record.modRevision !== copied?.modRevision
  }

  /**
   * Reads the keys of a transaction that did nothing, and returns those that somebody else has changed. Keys whose
   * lease has ended in the target are forgotten.
   */
  async findForeign(
    changes: readonly SourceChange[],
    target: Client,
    signal: AbortSignal,
  ): Promise<readonly Uint8Array[]> {
    const foreign: Uint8Array[] = []
    for (let at = 0; at < changes.length; at += READS_AT_ONCE) {
      const keys = changes.slice(at, at + READS_AT_ONCE).map(changeKey)
      const records = await Promise.all(keys.map((key) => target.get(key, { signal })))
      for (const [index, key] of keys.entries()) {
        const record = records[index]
        if (this.isForeign(key, record)) foreign.push(key)
        else if (record === undefined) this.#keys.delete(nameOf(key))
      }
    }
    return foreign
  }
}

/** Collects keys of the target that somebody else has changed. */
export class ForeignKeys {
  readonly #named: string[] = []
  #count = 0

  add(key: Uint8Array): void {
    this.#count += 1
    if (this.#named.length < NAMED_MAX) this.#named.push(keyText(key))
  }

  /** Throws a failure if there are any. */
  check(howToContinue: readonly string[]): void {
    if (this.#count === 0) return
    const keys = this.#count === 1 ? 'a key' : `${this.#count} keys`
    const more = this.#count - this.#named.length
    throw new Failure(
      EXIT.failed,
      `somebody else has changed ${keys} of the target since this migration has: it replaces nothing of that`,
      [...this.#named, ...(more > 0 ? [`and ${more} more`] : []), ...howToContinue],
    )
  }
}
