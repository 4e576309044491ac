// Revocations of leases with more keys than one entry deletes. The entry of the request has ended the lease for
// clients, and the leader proposes further entries that delete the other keys. The request is answered when this node
// has applied the last one.

import { decodeLease, leaseKey, type Outcome } from '../../../kv/index.ts'
import type { LeaseId, Revision } from '../../../operations/forms/index.ts'
import type { Storage } from '../../../storage/types.ts'
import type { Clock, Timer } from '../clock.ts'
import type { CommandResult, Problem } from '../result.ts'

export type RevokedInPart = Extract<Outcome, { readonly kind: 'revoked' }> & { readonly left: number }

interface OpenRevocation {
  readonly id: LeaseId
  readonly end: (problem: Problem | undefined) => void
}

export class OpenRevocations {
  readonly #storage: Pick<Storage, 'get'>
  readonly #clock: Clock
  readonly #openMax: number
  readonly #open = new Set<OpenRevocation>()
  /** Whether a lease may have ended that somebody waits for. */
  #isDue = false

  /** `openMax`: requests that wait. Any others are answered at once that the cluster deletes the rest. */
  constructor(storage: Pick<Storage, 'get'>, clock: Clock, openMax: number) {
    this.#storage = storage
    this.#clock = clock
    this.#openMax = openMax
  }

  get size(): number {
    return this.#open.size
  }

  /**
   * Calls `done` once, when the lease has no keys any more, or after the timeout. The answer counts all keys that the
   * lease had when it was revoked. `revision`: that of the store.
   */
  wait(
    id: LeaseId,
    { outcome, replayed }: { readonly outcome: RevokedInPart; readonly replayed: boolean },
    revision: () => Revision,
    timeoutMs: number,
    done: (result: CommandResult) => void,
  ): void {
    const end = (problem: Problem | undefined): void => {
      timer?.cancel()
      this.#open.delete(open)
      if (problem !== undefined) {
        done({ ok: false, problem })
        return
      }
      const { kind, deleted, left } = outcome
      done({
        ok: true,
        value: { outcome: { kind, revision: revision(), deleted: deleted + left }, replayed },
      })
    }
    const open: OpenRevocation = { id, end }
    let timer: Timer | undefined
    if (!this.#isEnding(id)) {
      end(undefined)
      return
    }
    if (this.#open.size >= this.#openMax) {
      end(unfinished(`${this.#openMax} requests wait on this node for such leases already`))
      return
    }
    timer = this.#clock.after(timeoutMs, () => end(unfinished('its keys are still being deleted')))
    this.#open.add(open)
  }

  /** Called for each row of a lease that an entry deletes, before the entry is applied as a whole. */
  leaseDeleted(): void {
    this.#isDue = this.#open.size > 0
  }

  /** A snapshot has replaced the applied state. */
  replaced(): void {
    this.leaseDeleted()
    this.check()
  }

  /** Called when entries were applied as a whole. */
  check(): void {
    if (!this.#isDue) return
    this.#isDue = false
    for (const open of [...this.#open]) if (!this.#isEnding(open.id)) open.end(undefined)
  }

  /** Answers all, because the node ends. */
  stop(): void {
    for (const open of [...this.#open]) open.end(unfinished('this node ends'))
  }

  /** A lease with this id that is not ending is a later one. */
  #isEnding(id: LeaseId): boolean {
    const row = this.#storage.get(leaseKey(id))
    return row !== undefined && decodeLease(row).isEnding
  }
}

const unfinished = (why: string): Problem => ({
  code: 'outcome_unknown',
  detail: `the lease is revoked, and ${why}: the cluster deletes the rest. Another request to revoke it waits for that`,
  written: 'unknown',
})
