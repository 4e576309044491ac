// Each kind of operation of a multiplexed connection: what it becomes, its credit, its time, and its errors. The table
// has every kind: without one it does not compile.

import { expect, test } from 'vitest'
import { ApiError } from '../../../src/operations/forms/index.ts'
import { findByOpcode, OPERATIONS, type OperationKind } from '../../../src/operations/index.ts'
import type { Item } from '../../../src/operations/mux/form.ts'
import { OPCODES } from '../../../src/operations/mux/opcodes.ts'
import { answerWithinMs, apiLimits } from '../../../src/server/api/limits.ts'
import { decodeOperation } from '../../../src/server/mux/multiplexer.ts'
import { MuxCall } from '../../../src/server/mux/mux-call.ts'

const bytes = (length: number): Buffer => Buffer.alloc(length, 'x')
const fields = (given: object): ReadonlyMap<string, unknown> => new Map(Object.entries(given))
const IDENTITY = ['token']

interface Kind {
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

type MuxKind = {
  [K in OperationKind]: (typeof OPERATIONS)[K] extends { readonly mux: unknown } ? K : never
}[OperationKind]

const KINDS: { readonly [K in MuxKind]: Kind } = {
  put: {
    ...{ isChange: true, credit: 30 },
    fields: [bytes(10), bytes(20), IDENTITY, fields({ ttl_ms: 5_000 })],
  },
  delete: {
    ...{ isChange: true, credit: 10 },
    fields: [bytes(10), IDENTITY, fields({ if_match: '*' })],
  },
  get: {
    ...{ isChange: false, credit: 10 },
    fields: [bytes(10), 3, fields({ consistency: 'stale' }), 2, true],
  },
  range: {
    ...{ isChange: false, credit: 1_024, held: 36 },
    fields: [fields({ start: bytes(10), end: bytes(11), after: bytes(12), order: 'asc' }), 3, null],
  },
  'open-session': { isChange: true, credit: 0, fields: [] },
  batch: {
    ...{ isChange: true, credit: 60 },
    fields: [
      [
        [1, bytes(10), bytes(20)],
        [2, bytes(30)],
      ],
      IDENTITY,
    ],
  },
  txn: {
    ...{ isChange: true, credit: 15 },
    fields: [
      fields({ compare: [fields({ key: 'c', exists: true })], success: [fields({ txn: nested })] }),
      IDENTITY,
      null,
      null,
    ],
  },
  'delete-range': {
    ...{ isChange: true, credit: 21 },
    fields: [fields({ start: bytes(10), end: bytes(11) }), IDENTITY],
  },
  compact: { isChange: true, credit: 0, fields: [3, IDENTITY] },
  'keep-alive': { isChange: false, credit: 40, held: 160, fields: [['7', '8']] },
  watch: {
    ...{ isChange: false, credit: 1_024, held: 26 },
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
const called = (kind: MuxKind, item: Item): MuxCall => {
  const definition = OPERATIONS[kind]
  expect(findByOpcode(definition.mux.opcode)).toBe(definition)
  return new MuxCall(CONNECTION, 1, definition, definition.mux.itemCredit(item), arrivedAt)
}

const TABLE = Object.entries(KINDS).map(([kind, each]) => [kind as MuxKind, each] as const)

test.each(TABLE)('%s', (kind, { fields: given, isChange, credit, held = credit }) => {
  const { opcode } = OPERATIONS[kind].mux
  const item: Item = [1, opcode, 1_000, ...given]
  const call = called(kind, item)
  expect([call.bytes, call.definition.mux.heldBytes?.(item) ?? call.bytes]).toEqual([credit, held])
  expect(decodeOperation(call, item, apiLimits)).toMatchObject({ kind })
  // The time of the client runs from the arrival, however long a turn takes to come.
  expect(call.deadline).toBe(arrivedAt + answerWithinMs(1_000))
  expect(() => decodeOperation(called(kind, item), [...item, null], apiLimits)).toThrow(
    /has at most \d+ elements/,
  )
  expect(() => decodeOperation(called(kind, item), [1, opcode, 0, ...given], apiLimits)).toThrow('timeout_ms')
  expect(call.isChange).toBe(isChange)
  call.fail(new ApiError('outcome_unknown', 'who knows', { written: 'unknown' }))
  const [, , problem] = call.answer
  expect(problem).toMatchObject({ code: 'outcome_unknown', status: 504 })
  if (isChange) expect(problem).toMatchObject({ written: 'unknown' })
  else expect(problem).not.toHaveProperty('written')
})

test('each kind of item has a number of its own, also those that are no operations', () => {
  expect(new Set(Object.values(OPCODES)).size).toBe(Object.keys(OPCODES).length)
  const operations = Object.entries(OPCODES).filter(([name]) => name !== 'cancel' && name !== 'trace')
  for (const [name, opcode] of operations)
    expect([name, findByOpcode(opcode)]).toEqual([name, OPERATIONS[name as OperationKind]])
  for (const opcode of [OPCODES.cancel, OPCODES.trace]) expect(findByOpcode(opcode)).toBeUndefined()
})
