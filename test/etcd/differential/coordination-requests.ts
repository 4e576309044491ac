// Requests for locks and elections, with leases that exist, or not, or end meanwhile.

import fc from 'fast-check'
import type { Step } from './conversation.ts'
import { type Drawn, draw, fields, revision, value, weighted } from './drawn.ts'

const name = fc.constantFrom('n', 'n', 'm', '')
/** A lease that most conversations have, or that few have. */
const lease = weighted([10, fc.integer({ min: 1, max: 3 })], [1, fc.constant(4)])
const call = fc.nat({ max: 5 })
/** The key of a candidate. */
const candidate = fc.tuple(name, fc.integer({ min: 1, max: 3 })).map(([of, by]) => `${of}/#${by}`)
/** The leader key of an earlier campaign, or one that no election has given. */
const leader = weighted<unknown>(
  [4, call.map((number) => ({ call: number }))],
  [1, fields({ name, key: candidate, rev: revision, lease }, ['name', 'key'])],
) as Drawn

/** A candidate to whom the server grants a lease: it has its name for itself, as the order of such keys is random. */
const withoutLease = (rpc: 'lock' | 'campaign'): fc.Arbitrary<Step> =>
  call.map((stream) => ({ rpc, stream, request: { name: `own${stream}` } }))

const inCall = (rpc: Step['rpc'], request: Drawn): fc.Arbitrary<Step> =>
  fc.tuple(call, request).map(([stream, drawn]) => ({ rpc, stream, request: drawn }))

export const coordinationStep: fc.Arbitrary<Step> = weighted(
  [
    6,
    draw('leaseGrant', fields({ id: fc.integer({ min: 1, max: 3 }), ttl: fc.constant(300) }, ['id', 'ttl'])),
  ],
  [1, draw('leaseRevoke', fields({ id: fc.integer({ min: 1, max: 3 }) }, ['id']))],
  [6, inCall('lock', fields({ name, lease }, ['name', 'lease']))],
  [6, inCall('campaign', fields({ name, lease, value }, ['name', 'lease']))],
  [1, fc.oneof(withoutLease('lock'), withoutLease('campaign'))],
  [
    4,
    draw(
      'unlock',
      weighted<unknown>(
        [4, call.map((number) => ({ key: { call: number } }))],
        [2, candidate.map((key) => ({ key }))],
        [1, fc.constant({})],
      ) as Drawn,
    ),
  ],
  [3, draw('resign', fields({ leader }))],
  [4, draw('proclaim', fields({ leader, value }))],
  [3, draw('leader', fields({ name }, ['name']))],
  [1, inCall('observe', fields({ name }, ['name']))],
  [1, inCall('cancelCall', fc.constant({}))],
  [
    1,
    draw(
      'deleteRange',
      candidate.map((key) => ({ key })),
    ),
  ],
  [1, draw('put', fields({ key: candidate, value, lease }, ['key']))],
  [1, draw('range', fc.constant({ key: 'm', rangeEnd: 'o' }))],
)
