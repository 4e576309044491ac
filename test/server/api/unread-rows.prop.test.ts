// Rows that the engine could not read are reported when a scan has ended. So an answer is given only when each scan
// that it was read from has said that its rows were complete.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ApiError, asRevision } from '../../../src/operations/forms/index.ts'
import type { KvTxn, KvTxnOperation, Operation } from '../../../src/operations/index.ts'
import type { ApiAnswer } from '../../../src/server/api/answer.ts'
import { Api } from '../../../src/server/api/api.ts'
import type { Call } from '../../../src/server/api/call.ts'
import { execute } from '../../../src/server/api/execute.ts'
import { apiLimits } from '../../../src/server/api/limits.ts'
import { runs } from '../../runs.ts'
import { FakeNode } from '../http/fake-node.ts'

const NAMES = ['a', 'b', 'c', 'd'] as const
const bytes = (text: string): Uint8Array => Buffer.from(text)

const key = fc.constantFrom(...NAMES).map(bytes)
const range = fc.constantFrom(
  { start: bytes(''), end: undefined },
  { start: bytes('b'), end: bytes('d') },
  { start: bytes('x'), end: undefined },
)
const where = fc.oneof(fc.record({ key }), range)
const limit = fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined })
const flags = { keysOnly: fc.boolean(), count: fc.boolean(), countOnly: fc.boolean() }
const revision = fc.option(fc.integer({ min: 4, max: 7 }).map(asRevision), { nil: undefined, freq: 2 })
const comparison: fc.Arbitrary<KvTxn['compare'][number]> = fc.oneof(
  where.map((place) => ({ where: place, op: '>', target: 'version', to: 0 }) as const),
  where.map((place) => ({ where: place, op: '>', target: 'value', to: bytes('') }) as const),
)
const { txn } = fc.letrec<{ txn: KvTxn; operation: KvTxnOperation }>((tie) => ({
  txn: fc.record({
    compare: fc.array(comparison, { maxLength: 2 }),
    success: fc.array(tie('operation'), { maxLength: 3 }),
    failure: fc.array(tie('operation'), { maxLength: 1 }),
  }),
  operation: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.record({ kind: fc.constant('get' as const), where, limit, ...flags, revision }),
    fc.record({ kind: fc.constant('txn' as const), txn: tie('txn') }),
  ),
}))
const freshness = fc.constant({})
const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('txn' as const),
      txn,
      idempotency: fc.constant(undefined),
      freshness,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      ...{ kind: fc.constant('range' as const), range, limit, ...flags, revision, freshness },
      order: fc.constantFrom('asc' as const, 'desc' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('get' as const), key, revision, freshness }) },
)

/** A node with keys. The scan with the number `unread` reports at its end that it could not read rows. */
class Store {
  readonly node = new FakeNode()
  /** The rows that each scan has read. */
  readonly scans: { rows: number }[] = []

  constructor(isInMemory: boolean, unread: number | undefined) {
    const { node, scans } = this
    for (const name of ['z', ...NAMES, 'b']) node.put(name, 'value')
    node.headsAreInMemory = isInMemory
    const open = node.scan.bind(node)
    node.scan = (rows) => {
      const scan = open(rows)
      const read = { rows: 0 }
      const number = scans.push(read) - 1
      return {
        ...scan,
        next: (limits, done) =>
          scan.next(limits, (error, page, more) => {
            read.rows += page.length
            done(error, page, more)
          }),
        finish: (done) =>
          scan.finish((error) => done(number === unread ? new Error('a table could not be opened') : error)),
      }
    }
  }

  /** Executes an operation. Returns its answer, and the errors that are not the fault of the client. */
  async ask(asked: Operation): Promise<{ readonly answer: ApiAnswer; readonly failures: readonly Error[] }> {
    const failures: Error[] = []
    const limits = { ...apiLimits, sliceRowsMax: 2, sliceKeysMax: 2 }
    const api = new Api({ node: this.node, limits, version: '', failed: (error) => failures.push(error) })
    const call: Call = {
      ...{ deadline: performance.now() + 60_000, expansion: 1, isAbandoned: () => false },
      page: { add: ({ value }) => value.length },
    }
    const answer = await new Promise<ApiAnswer>((resolve) => execute(api, asked, call, resolve))
    await this.node.scansClosed()
    expect(api.outbound.bytes).toBe(0)
    return { answer, failures }
  }
}

test('rows that a scan could not read end the operation with an error, whichever of its scans has missed them', async () => {
  await fc.assert(
    fc.asyncProperty(operation, fc.boolean(), async (asked, isInMemory) => {
      const whole = new Store(isInMemory, undefined)
      const { answer } = await whole.ask(asked)
      if (answer instanceof ApiError) return
      for (const [number, { rows }] of whole.scans.entries()) {
        if (rows === 0) continue
        const { answer: failed, failures } = await new Store(isInMemory, number).ask(asked)
        expect(failed).toMatchObject({ code: 'internal' })
        expect(failures).toHaveLength(1)
      }
    }),
    { numRuns: runs(1_000) },
  )
})
