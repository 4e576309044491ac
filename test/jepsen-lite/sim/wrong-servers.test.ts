// Nodes that agree about all that they store, and report something wrong: each is found by a schedule that is named
// here, and the right one is not. To choose a schedule for a new defect, try seeds until one finds it soon.

import { expect, test } from 'vitest'
import { generate, judged } from '../../../jepsen-lite/sim/index.ts'
import type { SimCluster } from '../../../jepsen-lite/sim/world/cluster.ts'
import type { ReadGrant } from '../../../src/operations/forms/index.ts'
import type { InFlightCounts } from '../../../src/raft/index.ts'
import { Driver } from '../../../src/server/node/driver.ts'
import type { Greeting } from '../../../src/server/node/network.ts'
import { flattenCounts, type PartCounts } from '../../../src/server/node/observe/status.ts'

type Read = Driver['read']
type Propose = Driver['propose']

interface Defect {
  readonly read?: (right: Read) => Read
  readonly propose?: (right: Propose) => Propose
  readonly inspect?: (right: InFlightCounts) => InFlightCounts
  readonly greeting?: (right: Greeting, driver: Driver) => Greeting
}

const withDefect =
  (defect: Defect) =>
  (cluster: SimCluster): void => {
    class DefectiveDriver extends Driver {
      constructor(options: ConstructorParameters<typeof Driver>[0]) {
        super(options)
        const greeting = this.events.greeting.bind(this.events)
        this.events.greeting = () => {
          const right = greeting()
          return defect.greeting?.(right, this) ?? right
        }
      }
      override read(...asked: Parameters<Read>): () => void {
        const right: Read = (...args) => super.read(...args)
        return (defect.read?.(right) ?? right)(...asked)
      }
      override propose(...asked: Parameters<Propose>): void {
        const right: Propose = (...args) => super.propose(...args)
        ;(defect.propose?.(right) ?? right)(...asked)
      }
      override inspectParts(): readonly PartCounts[] {
        const right = super.inspectParts()
        if (defect.inspect === undefined) return right
        return [{ prefix: '', counts: defect.inspect(flattenCounts(right)) }]
      }
    }
    cluster.createDriver = (options) => new DefectiveDriver(options)
  }

/** The rule that is broken in a schedule of three nodes: that of this seed, or one of the next two. */
function foundIn(defect: Defect, seed: number): string | undefined {
  for (const one of [seed, seed + 1, seed + 2]) {
    const { violation } = judged(generate(one, 3), withDefect(defect))
    if (violation !== undefined) return violation.invariant
  }
  return undefined
}

/** Reads are granted with something else said of them. */
const telling =
  (change: (grant: ReadGrant) => Partial<ReadGrant>): NonNullable<Defect['read']> =>
  (right) =>
  (options, done) =>
    right(options, (result) =>
      done(result.ok ? { ok: true, value: { ...result.value, ...change(result.value) } } : result),
    )

const without =
  (name: string): NonNullable<Defect['inspect']> =>
  ({ [name]: _left, ...rest }) =>
    rest

const ofUnknownAge = telling(() => ({ stalenessMs: undefined }))

const WRONG: readonly (readonly [what: string, rule: string, seed: number, defect: Defect])[] = [
  [
    'allow any age, and tell none',
    'READ-3',
    5,
    {
      read: (right) => (options, done) =>
        ofUnknownAge(right)({ ...options, maxStalenessMs: undefined }, done),
    },
  ],
  [
    'call every state new',
    'READ-3',
    2,
    { read: telling(({ stalenessMs }) => ({ stalenessMs: stalenessMs === undefined ? undefined : 0 })) },
  ],
  [
    'never answer a read that may rest on a lease',
    'LIVE-8',
    3,
    {
      read: (right) => (options, done) => right(options, options.consistency === 'lease' ? () => {} : done),
    },
  ],
  [
    'never answer a write under a condition',
    'LIVE-8',
    7,
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
    288,
    { propose: (right) => (request, timeoutMs, done) => right(request, 3 * timeoutMs, done) },
  ],
  [
    'serve what is stale as a lease',
    'READ-4',
    3,
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
    280,
    {
      read: (right) => (options, done) =>
        right({ ...options, consistency: options.consistency === 'stale' ? 'stale' : 'lease' }, done),
    },
  ],
  [
    'leave out tokens',
    'ANSWER-6',
    2,
    {
      propose: (right) => (request, timeoutMs, done) =>
        right({ ...request, idempotency: undefined }, timeoutMs, done),
    },
  ],
  [
    'say that they are in a term that is not durable',
    'RAFT-2',
    154,
    { greeting: (right, { term }) => ({ ...right, term }) },
  ],
  ['hold more than they may', 'REST-3', 3, { inspect: (right) => ({ ...right, overlayBytes: 1e9 }) }],
  ['do not count what is parked', 'REST-2', 3, { inspect: without('reads.parked') }],
  ['do not count who waits', 'REST-2', 3, { inspect: without('proposals.waiting') }],
  ['do not count their chunks', 'REST-2', 3, { inspect: without('links.chunksInFlight') }],
  [
    'wait for what is no number',
    'REST-3',
    2,
    { inspect: (right) => ({ ...right, 'reads.requested': Number.NaN }) },
  ],
  [
    'miscount until that is no number',
    'REST-1',
    7,
    { inspect: (right) => ({ ...right, unapplied: Number.NaN }) },
  ],
]

test.each(WRONG)('nodes that %s are found', (_what, rule, seed, defect) => {
  expect(foundIn(defect, seed)).toBe(rule)
})

test('right ones are not', () => {
  expect(judged(generate(4, 3), withDefect({})).violation).toBeUndefined()
})
