// The keeper of leases with leases of any number of keys, some of which end in parts. Clients grant, attach, take keys
// away, revoke and keep alive; entries and confirmations are late, or fail; leaders change, and rows change while the
// next one reads them. No lease ends early. Whatever has happened, a lease that is ending is soon gone, and any other
// one ends when its time has passed.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeLease, leaseKey } from '../../../../src/kv/leases.ts'
import type { LeaseId } from '../../../../src/operations/forms/index.ts'
import { asTerm } from '../../../../src/raft/index.ts'
import { hex, putOf } from '../../../kv/store.ts'
import { runs } from '../../../runs.ts'
import { Leader, LOST } from './leader.ts'

const IDS = ['1', '2'] as LeaseId[]
/** The setting `rangeKeysMax`: leases with more keys end in parts of one. */
const RANGE_KEYS_MAX = 8
const ALL_KEYS = 100
/** After a failure nothing is proposed for 250 ms. */
const SOON_MS = 300

const id = fc.constantFrom(...IDS)
const keys = fc.constantFrom<number>(0, 1, 5, 12, 12)
const client = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('grant' as const),
      id,
      ttlMs: fc.constantFrom(1500, 2000, 9000),
      keys,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('attach' as const), id, keys }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('take' as const), id, keys }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('revoke' as const), id }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('lower' as const),
      keysMax: fc.integer({ min: 1, max: RANGE_KEYS_MAX }),
    }),
  },
)
/** Happens at once, between two parts of a lease that ends. */
const gap = fc.oneof(
  fc.constant(undefined),
  fc.record({ kept: fc.constant(IDS) }),
  fc.record({ kind: fc.constant('take' as const), id, keys: fc.constant<number>(ALL_KEYS) }),
  fc.record({ pages: fc.array(client, { maxLength: 5 }) }),
)
const step = fc.oneof(
  { weight: 8, arbitrary: client },
  { weight: 3, arbitrary: fc.record({ revoked: id, gap }) },
  { weight: 3, arbitrary: fc.record({ kept: fc.uniqueArray(id, { minLength: 1 }) }) },
  { weight: 8, arbitrary: fc.record({ waitMs: fc.constantFrom(0, 1, SOON_MS, 2000) }) },
  { weight: 2, arbitrary: fc.record({ holds: fc.constantFrom('entries', 'confirmations', 'nothing') }) },
  { weight: 2, arbitrary: fc.record({ next: fc.constantFrom('committed', 'failed') }) },
  { weight: 2, arbitrary: fc.record({ fails: fc.constantFrom('entry', 'confirmation') }) },
  { weight: 2, arbitrary: fc.record({ pages: fc.array(client, { maxLength: 5 }) }) },
)
type ClientStep = typeof client extends fc.Arbitrary<infer T> ? T : never
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

/** The leases that existed for clients, and that did not, since a request to keep some alive. */
interface Seen {
  readonly living: Set<LeaseId>
  readonly missing: Set<LeaseId>
}

class Run {
  readonly #leader: Leader
  #term = 2
  #keys = 0
  /** The lease lives until then, as its client knows. */
  readonly #promised = new Map<LeaseId, number>()
  /** It ends then, if this leader has promised nothing more. */
  readonly #endsBy = new Map<LeaseId, number>()
  readonly #ending = new Set<LeaseId>()
  /** Nothing has delayed the leader since then. */
  #freeSince: number | undefined
  readonly #requests = new Set<Seen>()

  constructor(clusterVersion: number) {
    this.#leader = new Leader({ rangeKeysMax: RANGE_KEYS_MAX, clusterVersion })
    this.#leader.onApplied = () => this.#check()
    this.#leader.begin()
  }

  get #now(): number {
    return this.#leader.clock.now()
  }

  #lease(of: LeaseId) {
    const row = this.#leader.store.rows.get(hex(leaseKey(of)))
    return row && decodeLease(row)
  }

  #lives(of: LeaseId): boolean {
    return this.#lease(of)?.isEnding === false
  }

  /** No lease whose client counts on it has ended. */
  #check(): void {
    for (const seen of this.#requests) this.#see(seen)
    for (const each of IDS) {
      if (this.#lease(each)?.isEnding !== true) this.#ending.delete(each)
      else if (!this.#ending.has(each)) {
        this.#ending.add(each)
        this.#endsBy.set(each, this.#now)
      }
    }
    for (const [of, until] of this.#promised) {
      if (this.#lives(of)) continue
      expect(this.#now, `lease ${of}`).toBeGreaterThanOrEqual(until)
      this.#promised.delete(of)
    }
  }

  #see({ living, missing }: Seen): void {
    for (const each of IDS) (this.#lives(each) ? living : missing).add(each)
  }

  #promises(of: LeaseId, until: number): void {
    this.#promised.set(of, Math.max(this.#promised.get(of) ?? 0, until))
  }

  #lastsFor(of: LeaseId, ttlMs: number): void {
    this.#endsBy.set(of, Math.max(this.#endsBy.get(of) ?? 0, this.#now + ttlMs))
  }

  #request(drawn: ClientStep): void {
    const leader = this.#leader
    switch (drawn.kind) {
      case 'grant': {
        const outcome = leader.apply({ kind: 'grant', id: drawn.id, ttlMs: drawn.ttlMs })
        if (outcome.kind !== 'granted') break
        this.#endsBy.delete(drawn.id)
        this.#promises(drawn.id, this.#now + drawn.ttlMs)
        this.#lastsFor(drawn.id, drawn.ttlMs)
        this.#attach(drawn.id, drawn.keys)
        break
      }
      case 'attach':
        this.#attach(drawn.id, drawn.keys)
        break
      case 'take':
        this.#take(drawn.id, drawn.keys)
        break
      case 'revoke':
        this.#promised.delete(drawn.id)
        leader.apply({ kind: 'revoke', id: drawn.id })
        break
      default:
        leader.apply({ kind: 'settings', settings: { rangeKeysMax: drawn.keysMax } })
    }
    leader.keeper.check()
  }

  #attach(to: LeaseId, count: number): void {
    for (let at = 0; at < count; at++)
      this.#leader.apply({ ...putOf(`k${this.#keys++}`, ''), lease: { id: to } })
  }

  #take(from: LeaseId, count: number): void {
    const attached = this.#leader.store.list(undefined).filter(({ lease }) => lease === from)
    for (const { key } of attached.slice(0, count)) this.#leader.apply({ ...putOf('', ''), key })
  }

  #keepAlive(ids: readonly LeaseId[]): void {
    const calledAt = this.#now
    const seen: Seen = { living: new Set(), missing: new Set() }
    this.#requests.add(seen)
    this.#see(seen)
    this.#leader.requestKeepAlive(ids, (result) => {
      this.#requests.delete(seen)
      // The leader may have kept some of them alive.
      for (const each of ids) this.#lastsFor(each, this.#lease(each)?.ttlMs ?? 0)
      if (!result.ok) return
      expect(result.value.length).toBe(ids.length)
      for (const [at, each] of ids.entries()) {
        const ttlMs = result.value[at]
        expect(ttlMs === undefined ? seen.missing : seen.living).toContain(each)
        // Unless it was granted anew since.
        if (ttlMs !== undefined && !seen.missing.has(each)) this.#promises(each, calledAt + ttlMs)
      }
    })
  }

  step(drawn: Step): void {
    const leader = this.#leader
    if ('kind' in drawn) this.#request(drawn)
    else if ('revoked' in drawn) {
      this.#request({ kind: 'revoke', id: drawn.revoked })
      if (drawn.gap !== undefined) this.step(drawn.gap)
    } else if ('fails' in drawn) leader.fails = drawn.fails as 'entry' | 'confirmation'
    else if ('kept' in drawn) this.#keepAlive(drawn.kept)
    else if ('waitMs' in drawn) this.#wait(drawn.waitMs)
    else if ('holds' in drawn) {
      leader.holdsEntries = drawn.holds === 'entries'
      leader.holdsConfirmations = drawn.holds === 'confirmations'
      if (drawn.holds === 'nothing') this.#release()
    } else if ('next' in drawn) {
      leader.confirming.shift()?.(drawn.next === 'failed' ? LOST : undefined)
      const entry = leader.proposed.shift()
      if (drawn.next === 'failed') entry?.done({ ok: false, problem: LOST })
      else if (entry !== undefined) leader.commit(entry)
    } else this.#changeLeader(drawn.pages)
  }

  #wait(ms: number): void {
    const leader = this.#leader
    if (this.#isDelayed) this.#freeSince = undefined
    else this.#freeSince ??= this.#now
    leader.clock.advance(ms)
    const from = this.#freeSince
    if (from === undefined) return
    for (const each of IDS) {
      if (this.#lease(each) === undefined) continue
      const by = Math.max(from, this.#endsBy.get(each) ?? 0) + SOON_MS
      expect(this.#now, `lease ${each}`).toBeLessThanOrEqual(by)
    }
  }

  get #isDelayed(): boolean {
    const { fails, holdsEntries, holdsConfirmations, confirming, proposed } = this.#leader
    return (
      fails !== undefined || holdsEntries || holdsConfirmations || confirming.length + proposed.length > 0
    )
  }

  #changeLeader(pages: readonly ClientStep[]): void {
    const left = [...pages]
    this.#leader.onPage = () => {
      const next = left.shift()
      if (next !== undefined) this.#request(next)
    }
    this.#leader.begin(asTerm(++this.#term))
    this.#leader.onPage = () => {}
    // It does not know what was promised before.
    for (const each of IDS) {
      const lease = this.#lease(each)
      if (lease !== undefined) this.#endsBy.set(each, lease.isEnding ? this.#now : lease.deadlineMs)
    }
  }

  #release(): void {
    const leader = this.#leader
    leader.holdsEntries = false
    leader.holdsConfirmations = false
    for (const confirm of leader.confirming.splice(0)) confirm(undefined)
    for (const entry of leader.proposed.splice(0)) leader.commit(entry)
  }

  end(): void {
    const leader = this.#leader
    this.#release()
    leader.fails = undefined
    while (leader.leases > 0) this.#wait(SOON_MS)
    leader.clock.advance(1000)
    expect(leader.keeper.inspect()).toEqual({ keepAlives: 0, loading: 0, expiring: 0, checkpointing: 0 })
  }
}

test('no lease ends early, and each ends in time, however many keys it has and whatever was late or lost', () => {
  fc.assert(
    fc.property(fc.constantFrom(1, 2, 2, 2), fc.array(step, { maxLength: 30 }), (clusterVersion, steps) => {
      const run = new Run(clusterVersion)
      for (const each of steps) run.step(each)
      run.end()
    }),
    { numRuns: runs(4000) },
  )
})
