// Parts of random requests: few keys, revisions and leases, so that they meet.

import fc from 'fast-check'
import type { Step } from './conversation.ts'
import { FIRST_REVISION, type JsonObject } from './frame.ts'

export type Drawn = fc.Arbitrary<JsonObject>

export const weighted = <T>(...choices: readonly (readonly [number, fc.Arbitrary<T>])[]): fc.Arbitrary<T> =>
  fc.oneof(...choices.map(([weight, arbitrary]) => ({ weight, arbitrary })))

/** Some of these fields, and all that are required. */
export const fields = (
  model: Record<string, fc.Arbitrary<unknown>>,
  required: readonly string[] = [],
): Drawn => fc.record(model, { requiredKeys: [...required] }) as Drawn

export const flag = fc.constant(true)
export const place = (names: readonly string[]): fc.Arbitrary<number> => fc.nat({ max: names.length - 1 })

export const plainKey = fc.constantFrom('a', 'ab', 'b', 'b\xff', 'c')
export const key = weighted([30, plainKey], [1, fc.constant('')], [1, fc.constant('\0')])
export const rangeEnd = weighted(
  [6, fc.constantFrom('b', 'c', 'd')],
  [2, fc.constant('\0')],
  [1, fc.constant('a')],
  [1, fc.constant('')],
)
export const value = fc.constantFrom('', '0', '1', '2', 'long'.repeat(10))
export const revision = weighted(
  [12, fc.integer({ min: FIRST_REVISION, max: FIRST_REVISION + 12 })],
  [2, fc.integer({ min: FIRST_REVISION - 3, max: FIRST_REVISION + 30 })],
  [1, fc.constant(0)],
  [1, fc.constant(-1)],
)
export const lease = weighted([8, fc.integer({ min: 1, max: 4 })], [1, fc.constant(0)])

export const draw = (rpc: Step['rpc'], request: Drawn): fc.Arbitrary<Step> =>
  request.map((drawn) => ({ rpc, request: drawn }))
