// Requests that revoke leases which end in parts, at the leases of one node. The test decides what the node has applied
// when it checks: half an entry, several entries, or a snapshot. Each request is answered once: as soon as the node has
// applied the last part, and never before.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Outcome, Request } from '../../../../src/kv/index.ts'
import { decodeLease, leaseKey } from '../../../../src/kv/leases.ts'
import { TABLE_LEASES } from '../../../../src/kv/types.ts'
import type { LeaseId } from '../../../../src/operations/forms/index.ts'
import { LeaseService } from '../../../../src/server/node/leases/lease-service.ts'
import { driverLimits } from '../../../../src/server/node/limits.ts'
import type { CommandResult } from '../../../../src/server/node/result.ts'
import { ask, hex, MemoryStore, putOf } from '../../../kv/store.ts'
import { runs } from '../../../runs.ts'
import { VirtualClock } from '../../virtual-clock.ts'

const IDS = ['7', '8', '9'] as LeaseId[]
const TTL_MS = 60_000
/** The setting `rangeKeysMax`: a part has one key. */
const RANGE_KEYS_MAX = 2
const OPEN_MAX = 4

const id = fc.constantFrom(...IDS)
const command = fc.oneof(
  fc.record({ kind: fc.constant('revoke' as const), id, timeoutMs: fc.constantFrom(5, 10_000) }),
  fc.record({ kind: fc.constant('part' as const), id }),
  fc.record({ kind: fc.constant('grant' as const), id, keys: fc.integer({ min: 0, max: 5 }) }),
  fc.record({ kind: fc.constant('take' as const), id }),
)
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ command, isInParts: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ repeats: fc.nat(), timeoutMs: fc.constantFrom(5, 10_000) }) },
  { weight: 1, arbitrary: fc.record({ snapshot: fc.array(command, { maxLength: 6 }) }) },
  { weight: 1, arbitrary: fc.record({ waitMs: fc.constantFrom(1, 10, 20_000) }) },
  { weight: 5, arbitrary: fc.constant('check' as const) },
)
type DrawnCommand = typeof command extends fc.Arbitrary<infer T> ? T : never
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

interface OpenRequest {
  readonly id: LeaseId
  readonly until: number
  answers: number
}

class Node {
  readonly #clock = new VirtualClock()
  readonly #store = new MemoryStore({ rangeKeysMax: RANGE_KEYS_MAX })
  /** The rows as the node reads them: without those of an entry that is applied in part. */
  #rows = new Map<string, Uint8Array>()
  #revision = this.#store.state.revision
  #isApplying = false
  readonly #service: LeaseService
  readonly #requests: OpenRequest[] = []
  /** Outcomes of revocations that were remembered. */
  readonly #outcomes: { readonly id: LeaseId; readonly outcome: Outcome }[] = []
  #keys = 0

  constructor() {
    const node = this
    const options = {
      clock: this.#clock,
      limits: { ...driverLimits, proposalsMax: OPEN_MAX },
      storage: {
        boot: 1,
        get: (key: Uint8Array) => this.#rows.get(hex(key)),
        get hashOfChanges() {
          return node.#isApplying ? {} : undefined
        },
      },
      raft: { clusterTimeMs: () => undefined },
      applied: {
        get state() {
          return { ...node.#store.state, revision: node.#revision }
        },
      },
    }
    // Nobody leads, and nobody proposes or reads.
    this.#service = new LeaseService(options as unknown as ConstructorParameters<typeof LeaseService>[0])
  }

  get #open(): OpenRequest[] {
    return this.#requests.filter(({ answers }) => answers === 0)
  }

  #isEnding(lease: LeaseId): boolean {
    const row = this.#rows.get(hex(leaseKey(lease)))
    return row !== undefined && decodeLease(row).isEnding
  }

  /** Applies an entry. `before`: called when it has written its rows, which nobody reads yet. */
  #apply(request: Request['command'], before: () => void, isTold = true): Outcome {
    const { outcome, changes } = this.#store.apply(ask(request))
    this.#isApplying = true
    for (const { key, value } of isTold ? changes : [])
      if (key[0] === TABLE_LEASES) this.#service.rowChanged(key, value, 0)
    before()
    this.#isApplying = false
    this.#rows = new Map(this.#store.rows)
    this.#revision = this.#store.state.revision
    return outcome
  }

  #execute(drawn: DrawnCommand, before: () => void, isTold = true): Outcome | undefined {
    const { kind, id: lease } = drawn
    const row = this.#rows.get(hex(leaseKey(lease)))
    switch (kind) {
      case 'revoke':
        return this.#apply({ kind: 'revoke', id: lease }, before, isTold)
      case 'part':
        if (row === undefined) return undefined
        return this.#apply(
          { kind: 'expire', leases: [{ id: lease, deadlineMs: decodeLease(row).deadlineMs }] },
          before,
          isTold,
        )
      case 'take': {
        const attached = this.#store.list(undefined).find((record) => record.lease === lease)
        if (attached === undefined) return undefined
        return this.#apply({ ...putOf('', 'v'), key: attached.key }, before, isTold)
      }
      default: {
        const granted = this.#apply({ kind: 'grant', id: lease, ttlMs: TTL_MS }, before, isTold)
        if (granted.kind !== 'granted') return granted
        for (let at = 0; at < drawn.keys; at++)
          this.#apply({ ...putOf(`k${this.#keys++}`, 'v'), lease: { id: lease } }, before, isTold)
        return granted
      }
    }
  }

  #request(lease: LeaseId, timeoutMs: number): (outcome: Outcome, replayed: boolean) => void {
    const request: OpenRequest = { id: lease, until: this.#clock.now() + timeoutMs, answers: 0 }
    let expected: Outcome | undefined
    const isFull = this.#open.length >= OPEN_MAX
    const done = (result: CommandResult): void => {
      request.answers++
      expect(request.answers).toBe(1)
      if (expected === undefined) throw new Error('an answer before the outcome')
      if (!result.ok) {
        expect(result.problem).toMatchObject({ code: 'outcome_unknown', written: 'unknown' })
        expect(this.#isStopped || isFull || this.#clock.now() >= request.until).toBe(true)
        return
      }
      const { outcome } = result.value
      if (expected.kind !== 'revoked' || expected.left === undefined) {
        expect(outcome).toBe(expected)
        return
      }
      expect(this.#isEnding(lease)).toBe(false)
      // Its answer has the revision of a store without all of its keys, and their number.
      const deleted = expected.deleted + expected.left
      expect(outcome).toEqual({ kind: 'revoked', revision: this.#revision, deleted })
    }
    const ask = { kind: 'revoke' as const, id: lease }
    const settle = this.#service.whenRevoked(
      { command: ask, idempotency: undefined, principal: '' },
      timeoutMs,
      done,
    )
    return (outcome, replayed) => {
      expected = outcome
      this.#requests.push(request)
      settle({ ok: true, value: { outcome, replayed } } as CommandResult)
    }
  }

  #isStopped = false

  step(drawn: Step): void {
    if (drawn === 'check') this.#service.check()
    else if ('waitMs' in drawn) this.#clock.advance(drawn.waitMs)
    else if ('snapshot' in drawn) {
      for (const each of drawn.snapshot) this.#execute(each, () => {}, false)
      this.#service.replaced()
    } else if ('repeats' in drawn) {
      const known = this.#outcomes[drawn.repeats % Math.max(1, this.#outcomes.length)]
      if (known !== undefined) this.#request(known.id, drawn.timeoutMs)(known.outcome, true)
    } else {
      const settle =
        drawn.command.kind === 'revoke' ? this.#request(drawn.command.id, drawn.command.timeoutMs) : undefined
      const outcome = this.#execute(drawn.command, () => {
        if (drawn.isInParts) this.#service.check()
      })
      if (settle !== undefined && outcome !== undefined) {
        this.#outcomes.push({ id: drawn.command.id, outcome })
        settle(outcome, false)
      }
    }
    const isChecked = drawn === 'check' || (typeof drawn === 'object' && 'snapshot' in drawn)
    for (const open of this.#open) {
      expect(open.until).toBeGreaterThan(this.#clock.now())
      if (isChecked) expect(this.#isEnding(open.id)).toBe(true)
    }
    expect(this.#service.inspect().revocations).toBe(this.#open.length)
  }

  end(): void {
    this.#isStopped = true
    this.#service.stop()
    expect(this.#open).toEqual([])
    this.#clock.advance(100_000)
    expect([this.#clock.timers, this.#service.inspect().revocations]).toEqual([0, 0])
  }
}

test('each request that revokes a lease is answered once, when its last key is deleted, and not before', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const node = new Node()
      for (const each of steps) node.step(each)
      node.end()
    }),
    { numRuns: runs(2000) },
  )
})
