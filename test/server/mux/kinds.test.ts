// Each kind of operation of a multiplexed connection: what it becomes, its credit, its time, and its errors. The table
// has every kind: without one it does not compile.

import { expect, test } from 'vitest'
import { ApiError } from '../../../src/operations/forms/index.ts'
import type { Operation } from '../../../src/operations/index.ts'
import type { Item } from '../../../src/operations/mux/form.ts'
import { answerWithinMs, apiLimits } from '../../../src/server/api/limits.ts'
import { MuxCall } from '../../../src/server/mux/mux-call.ts'
import { bytesHeldBy, creditOf, decode, encodeError } from '../../../src/server/mux/mux-codec.ts'
import {
  CHANGES,
  COMPACT,
  DELETE,
  DELETE_RANGE,
  GET,
  KEEP_ALIVE,
  NAMES,
  OPEN_CLIENT_SESSION,
  type Opcode,
  PUT,
  RANGE,
  TXN,
  WATCH,
} from '../../../src/server/mux/protocol.ts'

const bytes = (length: number): Buffer => Buffer.alloc(length, 'x')
const fields = (given: object): ReadonlyMap<string, unknown> => new Map(Object.entries(given))
const IDENTITY = ['token']

interface Kind {
  readonly kind: Operation['kind']
  /** All fields that the item may have, after its id, kind and time. */
  readonly fields: readonly unknown[]
  readonly isChange: boolean
  /** Bytes of credit, and bytes that the node holds if these are others. */
  readonly credit: number
  readonly held?: number
}

const nested = fields({
  success: [fields({ put: fields({ key: bytes(3), value: bytes(7) }) })],
  failure: [fields({ delete: fields({ prefix: 'four' }) })],
})

const KINDS: { readonly [Op in Opcode]: Kind } = {
  [PUT]: {
    ...{ kind: 'put', isChange: true, credit: 30 },
    fields: [bytes(10), bytes(20), IDENTITY, fields({ ttl_ms: 5_000 })],
  },
  [DELETE]: {
    ...{ kind: 'delete', isChange: true, credit: 10 },
    fields: [bytes(10), IDENTITY, fields({ if_match: '*' })],
  },
  [GET]: {
    ...{ kind: 'get', isChange: false, credit: 10 },
    fields: [bytes(10), 3, fields({ consistency: 'stale' }), 2],
  },
  [RANGE]: {
    ...{ kind: 'range', isChange: false, credit: 1_024, held: 36 },
    fields: [fields({ start: bytes(10), end: bytes(11), after: bytes(12), order: 'asc' }), 3, null],
  },
  [OPEN_CLIENT_SESSION]: { kind: 'open-session', isChange: true, credit: 0, fields: [] },
  [CHANGES]: {
    ...{ kind: 'batch', isChange: true, credit: 60 },
    fields: [
      [
        [PUT, bytes(10), bytes(20)],
        [DELETE, bytes(30)],
      ],
      IDENTITY,
    ],
  },
  [TXN]: {
    ...{ kind: 'txn', isChange: true, credit: 15 },
    fields: [
      fields({ compare: [fields({ key: 'c', exists: true })], success: [fields({ txn: nested })] }),
      IDENTITY,
      null,
      null,
    ],
  },
  [DELETE_RANGE]: {
    ...{ kind: 'delete-range', isChange: true, credit: 21 },
    fields: [fields({ start: bytes(10), end: bytes(11) }), IDENTITY],
  },
  [COMPACT]: { kind: 'compact', isChange: true, credit: 0, fields: [3, IDENTITY] },
  [KEEP_ALIVE]: { kind: 'keep-alive', isChange: false, credit: 40, fields: [['7', '8']] },
  [WATCH]: {
    ...{ kind: 'watch', isChange: false, credit: 1_024, held: 13 },
    fields: [fields({ prefix: bytes(10) }), 3, fields({ only: 'put' })],
  },
}

const CONNECTION = {
  ...{ isOver: false, principal: undefined, address: '10.0.0.1:2' },
  checkServed() {},
  checkRoom() {},
  hold() {},
  answered() {},
  openWatch: () => expect.fail('no watch begins'),
}

const arrivedAt = performance.now() - 10_000
const called = (op: Opcode, item: Item): MuxCall =>
  new MuxCall(CONNECTION, 1, op, creditOf(op, item), arrivedAt)

const TABLE = Object.entries(KINDS).map(
  ([op, kind]) => [NAMES[Number(op) as Opcode], Number(op) as Opcode, kind] as const,
)

test.each(TABLE)('%s (%i)', (_, op, { kind, fields: given, isChange, credit, held = credit }) => {
  const item: Item = [1, op, 1_000, ...given]
  const call = called(op, item)
  expect([call.bytes, bytesHeldBy(call, item)]).toEqual([credit, held])
  expect(decode(call, item, apiLimits)).toMatchObject({ kind })
  // The time of the client runs from the arrival, however long a turn takes to come.
  expect(call.deadline).toBe(arrivedAt + answerWithinMs(1_000))
  expect(() => decode(called(op, item), [...item, null], apiLimits)).toThrow(/has at most \d+ elements/)
  expect(() => decode(called(op, item), [1, op, 0, ...given], apiLimits)).toThrow('timeout_ms')
  expect(call.isChange).toBe(isChange)
  encodeError(call, new ApiError('outcome_unknown', 'who knows', { written: 'unknown' }))
  const [, , problem] = call.answer
  expect(problem).toMatchObject({ code: 'outcome_unknown', status: 504 })
  if (isChange) expect(problem).toMatchObject({ written: 'unknown' })
  else expect(problem).not.toHaveProperty('written')
})
