// A batch gives what the same changes give one after the other, each in a request of its own.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { initialState } from '../../../src/kv/index.ts'
import { runs } from '../../runs.ts'
import { FakeNode } from './fake-node.ts'
import { JSON_TYPE, type Served, serve } from './served.ts'

interface Change {
  readonly method: 'PUT' | 'DELETE'
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly ifMatch: '*' | readonly number[] | undefined
  readonly ifNoneMatch: '*' | readonly number[] | undefined
  /** Also bytes that could be a string. */
  readonly base64: boolean
}

const SETTINGS = { keyBytesMax: 3, valueBytesMax: 4, storeBytesMax: 12 }

const tags = fc.option(
  fc.oneof(
    fc.constant('*' as const),
    fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 3 }),
  ),
  { nil: undefined, freq: 2 },
)
const bytesFrom = (...texts: string[]) => fc.constantFrom(...texts.map((text) => Buffer.from(text, 'latin1')))
const change: fc.Arbitrary<Change> = fc.record({
  method: fc.constantFrom('PUT', 'PUT', 'DELETE'),
  key: bytesFrom('a', 'b', '\xff', '\xc3\xa4', 'long'),
  value: bytesFrom('', 'v', '\x00\xff', 'full', 'large'),
  ifMatch: tags,
  ifNoneMatch: tags,
  base64: fc.boolean(),
})

function jsonOf({ method, key, value, ifMatch, ifNoneMatch, base64 }: Change): object {
  const bytes = (from: Uint8Array) => {
    const buffer = Buffer.from(from)
    const text = buffer.toString('utf8')
    return !base64 && Buffer.from(text).equals(buffer) ? text : { base64: buffer.toString('base64') }
  }
  // JSON omits undefined fields.
  const target = { key: bytes(key), if_match: ifMatch, if_none_match: ifNoneMatch }
  return method === 'PUT' ? { put: { ...target, value: bytes(value) } } : { delete: target }
}

/** The result that this change has alone. */
async function alone(
  { ask }: Served,
  { method, key, value, ifMatch, ifNoneMatch }: Change,
): Promise<unknown> {
  const target = `/v1/kv?key=${[...key].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')}`
  const list = (of: NonNullable<Change['ifMatch']>): string =>
    of === '*' ? of : of.map((revision) => `"${revision}"`).join(', ')
  const headers = {
    ...(ifMatch && { 'If-Match': list(ifMatch) }),
    ...(ifNoneMatch && { 'If-None-Match': list(ifNoneMatch) }),
  }
  const { status, json } = await ask(method, target, {
    headers,
    ...(method === 'PUT' ? { body: value } : {}),
  })
  if (status !== 200) return { problem: { ...json, written: 'no' } }
  const { revision, ...meta } = json
  return method === 'PUT' ? { put: meta } : { delete: { ...meta, revision } }
}

test('a batch gives what its changes give one after the other', async () => {
  const [together, single] = [new FakeNode(SETTINGS), new FakeNode(SETTINGS)]
  const [batches, changes] = [await serve({ node: together }), await serve({ node: single })]
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(change, { minLength: 1, maxLength: 8 }), { maxLength: 3 }),
      async (lists) => {
        for (const node of [together, single]) node.clear(initialState(SETTINGS))
        for (const list of lists) {
          const { json } = await batches.ask('POST', '/v1/changes', {
            headers: JSON_TYPE,
            body: JSON.stringify({ changes: list.map(jsonOf) }),
          })
          const results: unknown[] = []
          for (const each of list) results.push(await alone(changes, each))
          expect(json).toEqual({ revision: single.revision, results })
        }
        expect(together.state).toEqual(single.state)
        const stored = async ({ ask }: Served) => (await ask('GET', '/v1/kv')).text
        expect(await stored(batches)).toBe(await stored(changes))
      },
    ),
    { numRuns: runs(100) },
  )
})
