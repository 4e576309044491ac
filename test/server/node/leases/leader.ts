// A leader and its keeper of leases, with a store in memory. The test decides when a majority confirms it, and when and
// in which order its entries are applied.

import { expect, onTestFinished } from 'vitest'
import type { Outcome, Request } from '../../../../src/kv/index.ts'
import { type LeaseCommand, type RowChange, TABLE_LEASES } from '../../../../src/kv/types.ts'
import type { KvSettings, LeaseId } from '../../../../src/operations/forms/index.ts'
import { asTerm, type Term } from '../../../../src/raft/index.ts'
import { LeaseKeeper, type LeaseNode } from '../../../../src/server/node/leases/lease-keeper.ts'
import { driverLimits } from '../../../../src/server/node/limits.ts'
import type { Problem, Result } from '../../../../src/server/node/result.ts'
import type { RowScan, StoredRow } from '../../../../src/storage/types.ts'
import { ask, MemoryStore } from '../../../kv/store.ts'
import { VirtualClock } from '../../virtual-clock.ts'

export const LOST: Problem = { code: 'no_quorum', detail: 'no majority', written: 'no' }

/** More than a test needs. */
const CONFIRMATIONS_MAX = 100_000

export interface Proposed {
  readonly command: LeaseCommand
  readonly done: (result: Result<Outcome>) => void
}

export class Leader implements LeaseNode {
  readonly clock = new VirtualClock()
  readonly store: MemoryStore
  readonly keeper = new LeaseKeeper(this, this.clock, driverLimits)
  term: Term | undefined = asTerm(2)
  appliedTerm = asTerm(1)
  isApplying = false
  /** Whether the test holds requested confirmations back. */
  holdsConfirmations = false
  readonly confirming: ((problem: Problem | undefined) => void)[] = []
  /** Whether the test holds proposed entries back. */
  holdsEntries = false
  readonly proposed: Proposed[] = []
  /** The next one fails. */
  fails: 'confirmation' | 'entry' | undefined
  /** All commands that were proposed. */
  readonly commands: LeaseCommand[] = []
  openScans = 0
  #confirmations = 0
  /** Number of calls of `keepAlive` without an answer. */
  unanswered = 0
  /** Called before each page of a scan. */
  onPage: () => void = () => {}
  /** Called after each command that was applied. */
  onApplied: () => void = () => {}

  constructor(settings: Partial<KvSettings> = {}) {
    this.store = new MemoryStore(settings)
    // However its keep-alives have ended.
    onTestFinished(() => expect(this.keeper.inspect().keepAlives).toBe(this.unanswered))
  }

  get state() {
    return this.store.state
  }

  leading() {
    return this.term === undefined
      ? undefined
      : { term: this.term, clusterTimeMs: Math.floor(this.clock.now()) }
  }

  #isFailing(what: 'confirmation' | 'entry'): boolean {
    const isFailing = this.fails === what
    if (isFailing) this.fails = undefined
    return isFailing
  }

  confirm(_: number, done: (problem: Problem | undefined) => void): void {
    // It would ask without an end in the same moment.
    if (++this.#confirmations > CONFIRMATIONS_MAX) throw new Error('the leader is confirmed without an end')
    if (this.#isFailing('confirmation')) this.clock.soon(() => done(LOST))
    else if (this.holdsConfirmations) this.confirming.push(done)
    else this.clock.soon(() => done(undefined))
  }

  /** The reply of another node that leads; undefined if there is none. */
  leader: ((ids: readonly LeaseId[]) => readonly (number | undefined)[] | undefined) | undefined

  forwardToLeader(
    ids: readonly LeaseId[],
    _: number,
    done: (kept: readonly (number | undefined)[] | undefined) => void,
  ): boolean {
    const { leader } = this
    if (leader !== undefined) this.clock.soon(() => done(leader(ids)))
    return leader !== undefined
  }

  propose({ command }: Request, _: number, done: (result: Result<Outcome>) => void): void {
    const lease = command as LeaseCommand
    this.commands.push(lease)
    const proposed = { command: lease, done }
    if (this.#isFailing('entry')) this.clock.soon(() => done({ ok: false, problem: LOST }))
    else if (this.holdsEntries) this.proposed.push(proposed)
    else this.clock.soon(() => this.commit(proposed))
  }

  commit({ command, done }: Proposed): void {
    done({ ok: true, value: this.apply(command) })
    this.keeper.check()
  }

  /** Applies a command as the applier does. */
  apply(command: Request['command'], clusterTimeMs = Math.floor(this.clock.now())): Outcome {
    const { outcome, changes } = this.store.apply(ask(command), clusterTimeMs)
    for (const { key, value } of changes as readonly RowChange[])
      if (key[0] === TABLE_LEASES) this.keeper.rowChanged(key, value, clusterTimeMs)
    this.onApplied()
    return outcome
  }

  grant(id: LeaseId, ttlMs = 3000): void {
    this.apply({ kind: 'grant', id, ttlMs })
    this.keeper.check()
  }

  /** Applies the first entry of this term. */
  begin(term = asTerm(2)): void {
    this.term = term
    this.appliedTerm = term
    this.keeper.check()
    this.clock.advance(1)
  }

  scan(): RowScan {
    this.openScans++
    const rows: StoredRow[] = [...this.store.rows]
      .filter(([name]) => name.startsWith('06'))
      .map(([name, value]) => ({ key: Buffer.from(name, 'hex'), value }))
    const scan: Pick<RowScan, 'next' | 'finish' | 'close'> = {
      next: (_, done) => {
        this.clock.soon(() => {
          this.onPage()
          done(undefined, rows.splice(0, 1), rows.length > 0)
        })
      },
      finish: (done) => {
        this.openScans--
        done(undefined)
      },
      close: () => this.openScans--,
    }
    return scan as RowScan
  }

  failed(error: Error): void {
    throw error
  }

  keepAlive(...ids: LeaseId[]): { kept: Result<readonly (number | undefined)[]> | undefined } {
    const answer: { kept: Result<readonly (number | undefined)[]> | undefined } = { kept: undefined }
    this.requestKeepAlive(ids, (kept) => {
      answer.kept = kept
    })
    return answer
  }

  requestKeepAlive(
    ids: readonly LeaseId[],
    done: (kept: Result<readonly (number | undefined)[]>) => void,
  ): void {
    this.unanswered++
    this.keeper.keepAlive(ids, 1000, (kept) => {
      this.unanswered--
      done(kept)
    })
  }

  get leases(): number {
    return this.state.leases.count
  }

  /** The leases that each entry was to end. */
  get ended(): LeaseId[][] {
    return this.commands.flatMap((each) => (each.kind === 'expire' ? [each.leases.map(({ id }) => id)] : []))
  }
}
