// The revision of a read is that at which it was granted, in its answer and in its error, however the store changes
// while it is read.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ApiError, asRevision, type LeaseId } from '../../../src/operations/forms/index.ts'
import type { Operation } from '../../../src/operations/index.ts'
import { runs } from '../../runs.ts'
import { FakeNode } from '../http/fake-node.ts'
import { executed } from './executed.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text)
const LEASE = '7' as LeaseId

const key = fc.constantFrom('a', 'b', 'none').map(bytes)
const range = fc.constantFrom({ start: bytes('a'), end: bytes('c') }, { start: bytes('x'), end: undefined })
const revision = fc.option(fc.integer({ min: 1, max: 12 }).map(asRevision), { nil: undefined, freq: 2 })
const revisions = fc.constantFrom([asRevision(2)], [asRevision(3), asRevision(4)], 'any' as const, undefined)
const condition = fc.option(fc.record({ ifMatch: revisions, ifNoneMatch: revisions }), {
  nil: undefined,
  freq: 4,
})
const flags = { keysOnly: fc.boolean(), count: fc.boolean(), countOnly: fc.boolean() }
const limit = fc.option(fc.constant(1), { nil: undefined })
const freshness = fc.constant({})
const get = fc.record({
  ...{
    kind: fc.constant('get' as const),
    where: fc.oneof(fc.record({ key }), range),
    limit,
    ...flags,
    revision,
  },
})
const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({ kind: fc.constant('get' as const), key, condition, freshness }),
  fc.record({ kind: fc.constant('get' as const), key, condition, revision, freshness }),
  fc.record({ kind: fc.constant('range' as const), range, limit, ...flags, revision, freshness }),
  fc.record({
    kind: fc.constant('txn' as const),
    txn: fc.record({
      compare: fc.array(
        key.map((name) => ({ where: { key: name }, op: '>', target: 'version', to: 0 }) as const),
        {
          maxLength: 1,
        },
      ),
      success: fc.array(get, { maxLength: 2 }),
      failure: fc.array(get, { maxLength: 1 }),
    }),
    idempotency: fc.constant(undefined),
    freshness,
  }),
  fc.record({ kind: fc.constant('list-leases' as const), after: fc.constant(undefined), limit, freshness }),
  fc.record({
    kind: fc.constant('show-lease' as const),
    id: fc.constantFrom(LEASE, '8' as LeaseId),
    ...{ keys: fc.boolean(), freshness },
  }),
)

test('a read states the revision of its grant, whatever is written while it is answered', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 8 }),
      operation,
      async (keys, asked) => {
        const node = new FakeNode()
        node.apply({ kind: 'grant', id: LEASE, ttlMs: 60_000 })
        for (const name of keys) node.put(name, 'value')
        let granted: number | undefined
        const read = node.read.bind(node)
        node.read = (options, done) =>
          read(options, (result) => {
            if (result.ok) granted = result.value.revision
            done(result)
            node.put('a', 'later')
          })
        node.onSlice = () => node.put('b', 'later')
        const answer = await executed(node, asked, undefined, { page: { add: () => 1 } })
        const stated =
          answer instanceof ApiError
            ? [answer.revision ?? granted, answer.grant?.revision ?? granted]
            : [answer.head.revision, answer.kind === 'txn' ? answer.result.revision : granted]
        expect(granted).toBeDefined()
        expect(stated).toEqual([granted, granted])
        if (answer instanceof ApiError) expect(answer.revision ?? answer.grant?.revision).toBeDefined()
        await node.scansClosed()
      },
    ),
    { numRuns: runs(2_000) },
  )
})
