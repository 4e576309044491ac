// Nodes that agree about all that they store, and are wrong in what they tell, or in the time that they stamp: each is
// found within a few schedules, and the right one is not.

import { expect, test, vi } from 'vitest'
import type { InFlightCounts } from '../../../src/raft/index.ts'
import type { LeaderState } from '../../../src/raft/leader-state.ts'
import type { Driver } from '../../../src/server/node/driver.ts'
import type { Greeting, ReadGrant } from '../../../src/server/node/types.ts'

type Read = Driver['read']
type Propose = Driver['propose']

interface Wrong {
  readonly read?: (right: Read) => Read
  readonly propose?: (right: Propose) => Propose
  readonly inspect?: (right: InFlightCounts) => InFlightCounts
  readonly greeting?: (right: Greeting, driver: Driver) => Greeting
  readonly clusterTimeMs?: (right: number, lead: LeaderState, now: number) => number
}

let wrong: Wrong = {}

vi.mock(import('../../../src/server/node/driver.ts'), async (original) => {
  const { Driver: Right, ...rest } = await original()
  class Meddled extends Right {
    constructor(options: ConstructorParameters<typeof Right>[0]) {
      super(options)
      const greeting = this.events.greeting.bind(this.events)
      this.events.greeting = () => {
        const right = greeting()
        return wrong.greeting?.(right, this) ?? right
      }
    }
    override read(...asked: Parameters<Read>): () => void {
      const right: Read = (...args) => super.read(...args)
      return (wrong.read?.(right) ?? right)(...asked)
    }
    override propose(...asked: Parameters<Propose>): void {
      const right: Propose = (...args) => super.propose(...args)
      ;(wrong.propose?.(right) ?? right)(...asked)
    }
    override inspect(): InFlightCounts {
      const right = super.inspect()
      return wrong.inspect?.(right) ?? right
    }
  }
  return { ...rest, Driver: Meddled }
})

vi.mock(import('../../../src/raft/leader-state.ts'), async (original) => {
  const { LeaderState: Right, ...rest } = await original()
  class Meddled extends Right {
    override clusterTimeMs(...[now]: Parameters<LeaderState['clusterTimeMs']>): number {
      const right = super.clusterTimeMs(now)
      return wrong.clusterTimeMs?.(right, this, now) ?? right
    }
  }
  return { ...rest, LeaderState: Meddled }
})

const { generate, judged } = await import('../../../jepsen-lite/sim/index.ts')

const SCHEDULES = 8

/** The rule that the first failing schedule breaks. */
function foundIn(one: Wrong, schedules = SCHEDULES): string | undefined {
  wrong = one
  for (let seed = 1; seed <= schedules; seed++) {
    const { violation } = judged(generate(seed, 5))
    if (violation !== undefined) return violation.invariant
  }
  return undefined
}

/** Reads are granted with something else said of them. */
const telling =
  (change: (grant: ReadGrant) => Partial<ReadGrant>): NonNullable<Wrong['read']> =>
  (right) =>
  (options, done) =>
    right(options, (result) =>
      done(result.ok ? { ok: true, value: { ...result.value, ...change(result.value) } } : result),
    )

const without =
  (name: string): NonNullable<Wrong['inspect']> =>
  ({ [name]: _left, ...rest }) =>
    rest

const ofUnknownAge = telling(() => ({ stalenessMs: undefined }))

const WRONG: readonly (readonly [what: string, rule: string, Wrong])[] = [
  [
    'allow any age, and tell none',
    'READ-3',
    {
      read: (right) => (options, done) =>
        ofUnknownAge(right)({ ...options, maxStalenessMs: undefined }, done),
    },
  ],
  [
    'call every state new',
    'READ-3',
    { read: telling(({ stalenessMs }) => ({ stalenessMs: stalenessMs === undefined ? undefined : 0 })) },
  ],
  [
    'never answer a read that may rest on a lease',
    'LIVE-8',
    {
      read: (right) => (options, done) => right(options, options.consistency === 'lease' ? () => {} : done),
    },
  ],
  [
    'never answer a write under a condition',
    'LIVE-8',
    {
      propose: (right) => (request, timeoutMs, done) => {
        const { command } = request
        const isConditional = 'key' in command && command.condition !== undefined
        right(request, timeoutMs, isConditional ? () => {} : done)
      },
    },
  ],
  [
    'take three times as long as they may',
    'LIVE-8',
    { propose: (right) => (request, timeoutMs, done) => right(request, 3 * timeoutMs, done) },
  ],
  [
    'serve what is stale as a lease',
    'READ-4',
    {
      read: (right) => (options, done) =>
        options.consistency === 'lease'
          ? telling(() => ({ served: 'lease' }))(right)({ ...options, consistency: 'stale' }, done)
          : right(options, done),
    },
  ],
  [
    'rest on leases whatever is asked for',
    'CHECK-reads',
    {
      read: (right) => (options, done) =>
        right({ ...options, consistency: options.consistency === 'stale' ? 'stale' : 'lease' }, done),
    },
  ],
  [
    'leave out tokens',
    'ANSWER-6',
    {
      propose: (right) => (request, timeoutMs, done) =>
        right({ ...request, idempotency: undefined }, timeoutMs, done),
    },
  ],
  [
    'say that they are in a term that is not durable',
    'RAFT-2',
    { greeting: (right, { term }) => ({ ...right, term }) },
  ],
  ['let cluster time stand still', 'KV-12', { clusterTimeMs: () => 5 }],
  ['let cluster time run too fast', 'KV-12', { clusterTimeMs: (right) => 2 * right }],
  [
    'begin cluster time anew with each leader',
    'KV-12',
    { clusterTimeMs: (_right, { electedAt }, now) => Math.floor(now - electedAt) },
  ],
  ['do not count what is parked', 'REST-2', { inspect: without('reads.parked') }],
  ['do not count who waits', 'REST-2', { inspect: without('proposals.waiting') }],
  ['do not count their chunks', 'REST-2', { inspect: without('links.chunksInFlight') }],
  ['wait for what is no number', 'REST-2', { inspect: (right) => ({ ...right, 'reads.asked': Number.NaN }) }],
  [
    'miscount until that is no number',
    'REST-1',
    { inspect: (right) => ({ ...right, unapplied: Number.NaN }) },
  ],
]

test.each(WRONG)('nodes that %s are found', (_what, rule, one) => {
  expect(foundIn(one)).toBe(rule)
})

test('right ones are not', () => {
  expect(foundIn({}, 2)).toBeUndefined()
})
