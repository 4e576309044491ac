// A transaction that changes nothing is a read. It must find what the same transaction finds in the log: the store is
// the same, but the code is another.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { runs } from '../../runs.ts'
import { FakeNode } from './fake-node.ts'
import { JSON_TYPE, serve } from './served.ts'

const bytes = (...texts: string[]) =>
  fc.constantFrom(
    ...texts.map((text) => {
      const buffer = Buffer.from(text, 'latin1')
      const utf8 = buffer.toString('utf8')
      return Buffer.from(utf8).equals(buffer) ? utf8 : { base64: buffer.toString('base64') }
    }),
  )
const KEYS = ['a', 'a\0', 'ab', 'b', '\xff', '\xff\xff', '\0']
const key = bytes(...KEYS)
const bound = bytes('', ...KEYS)
const value = bytes('', 'v', 'w', '\xff')

const where = fc.oneof(
  { weight: 3, arbitrary: fc.record({ key }) },
  fc.record({ prefix: bound }),
  fc.record({ start: bound }),
  fc.record({ end: bound }),
  fc.record({ start: bound, end: bound }),
)
const op = fc.constantFrom('=', '!=', '<', '>')
const number = fc.integer({ min: 0, max: 12 })
const target = fc.oneof(
  fc.record({ target: fc.constant('value'), op, to: value }),
  fc.record({ target: fc.constantFrom('version', 'create_revision', 'mod_revision'), op, to: number }),
  fc.record({ target: fc.constant('lease'), op, to: fc.constantFrom('0', '7') }),
)
const compare = fc.oneof(
  fc.tuple(where, target).map(([at, how]) => ({ ...at, ...how })),
  fc.record({ key, exists: fc.boolean() }),
)
const get = fc
  .tuple(
    where,
    fc.record(
      {
        ...{ limit: fc.integer({ min: 1, max: 4 }), keys_only: fc.boolean() },
        ...{ count: fc.boolean(), count_only: fc.boolean() },
      },
      { requiredKeys: [] },
    ),
  )
  .map(([at, how]) => ({ get: { ...at, ...how } }))

const { txn } = fc.letrec<{ txn: object; operation: object }>((tie) => ({
  operation: fc.oneof({ depthSize: 'small', withCrossShrink: true }, get, fc.record({ txn: tie('txn') })),
  txn: fc.record(
    {
      compare: fc.array(compare, { maxLength: 2 }),
      success: fc.array(tie('operation'), { maxLength: 3 }),
      failure: fc.array(tie('operation'), { maxLength: 3 }),
    },
    { requiredKeys: [] },
  ),
}))

const change = fc.oneof(
  { weight: 3, arbitrary: fc.record({ put: fc.record({ key, value }) }) },
  fc.record({ delete: fc.record({ key }) }),
)

test('a read finds what the log finds', async () => {
  let [held, failed] = [0, 0]
  await fc.assert(
    fc.asyncProperty(
      fc.array(change, { maxLength: 12 }),
      txn,
      fc.integer({ min: 1, max: 4 }),
      async (changes, inner, sliceRowsMax) => {
        const node = new FakeNode()
        const served = await serve({ node, limits: { sliceRowsMax } })
        const post = async (path: string, body: object) =>
          (await served.ask('POST', path, { headers: JSON_TYPE, body: JSON.stringify(body) })).json
        if (changes.length > 0) await post('/v1/changes', { changes })
        const { revision } = node
        const read = await post('/v1/txn', inner)
        expect([node.revision, node.openScans, read.revision]).toEqual([revision, 0, revision])
        const logged = await post('/v1/txn', {
          success: [{ txn: inner }, { put: { key: 'last', value: '' } }],
        })
        // The put has raised the revision, also of what is nested.
        const later = JSON.stringify(read).replaceAll(`"revision":${revision}`, `"revision":${revision + 1}`)
        expect(logged.results[0].txn).toEqual(JSON.parse(later))
        if (read.succeeded) held++
        else failed++
        await served.http.close({ graceful: false })
      },
    ),
    { numRuns: runs(600) },
  )
  expect(Math.min(held, failed)).toBeGreaterThan(runs(600) / 10)
})
