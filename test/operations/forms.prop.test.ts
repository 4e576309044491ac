// Both ends of each form: what one end encodes, the other one decodes.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  asRevision,
  bytesDocument,
  type Condition,
  durationMs,
  durationText,
  type Idempotency,
  SEQ_MAX,
  SESSION_SLOTS_MAX,
} from '../../src/operations/forms/index.ts'
import { conditionHeaders, readConditions } from '../../src/operations/http/conditions.ts'
import { idempotencyHeaders, readIdempotency } from '../../src/operations/http/idempotency.ts'
import { decodeIdempotency, encodeIdempotency } from '../../src/operations/mux/options.ts'
import '../runs.ts'

const lowerCase = (headers: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))

const revision = fc.maxSafeNat().map(asRevision)
const known = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }).map(asRevision)
const tags = fc.option(
  fc.oneof(fc.constant('any' as const), fc.array(revision, { minLength: 1, maxLength: 9 })),
  {
    nil: undefined,
  },
)
const condition = fc
  .record({ ifMatch: tags, ifNoneMatch: tags })
  .map((each): Condition | undefined =>
    each.ifMatch === undefined && each.ifNoneMatch === undefined ? undefined : each,
  )

/** Not those that a header would read otherwise: in quotes, or with a `;since=` of their own. */
const token = fc
  .string({
    unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
    minLength: 1,
    maxLength: 255,
  })
  .filter((text) => !text.startsWith('"') && !/;since=[^;"]*$/.test(text))
const idempotency: fc.Arbitrary<Idempotency> = fc.oneof(
  fc.record({ token, since: fc.option(known, { nil: undefined }) }),
  fc.record({
    session: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    slot: fc.nat({ max: SESSION_SLOTS_MAX - 1 }),
    seq: fc.integer({ min: 1, max: SEQ_MAX }),
  }),
)

test('a condition, as headers', () => {
  fc.assert(
    fc.property(condition, (each) => {
      expect(readConditions(lowerCase(conditionHeaders(each)))).toEqual(each)
    }),
  )
})

test('the name of a change, as a header and as a field', () => {
  fc.assert(
    fc.property(fc.option(idempotency, { nil: undefined }), (each) => {
      expect(readIdempotency(lowerCase(idempotencyHeaders(each)))).toEqual(each)
      expect(decodeIdempotency(encodeIdempotency(each))).toEqual(each)
    }),
  )
})

test('a duration, as text', () => {
  fc.assert(
    fc.property(fc.double({ min: 0.001, max: 1e9, noNaN: true }), (ms) => {
      expect(durationMs(durationText(ms), 'ttl', 0, 1e9)).toBeCloseTo(ms, 5)
    }),
  )
})

test('bytes, in JSON', () => {
  const bytes = fc.oneof(
    fc.uint8Array(),
    fc.string().map((text) => new TextEncoder().encode(text)),
  )
  fc.assert(
    fc.property(bytes, (each) => {
      const json: unknown = JSON.parse(JSON.stringify(bytesDocument(each)))
      const decoded =
        typeof json === 'string'
          ? Buffer.from(json)
          : Buffer.from((json as { base64: string }).base64, 'base64')
      expect([...decoded]).toEqual([...each])
      // A reader of text finds text.
      expect(typeof json).toBe(
        Buffer.from(each).equals(Buffer.from(Buffer.from(each).toString())) ? 'string' : 'object',
      )
    }),
  )
})
