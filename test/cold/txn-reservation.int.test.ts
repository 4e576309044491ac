// SERIOUS (availability; docs/reference/limits.md states the rule, not its consequence): a transaction with changes that
// reads one key of three bytes reserves `range_bytes_max` (4 MiB, up to 64 MiB) of `answersBytesMax` (128 MiB) until it is
// committed (src/server/api/txn.ts answerBytesMax), so a node takes 32 of them at a time (2, where the setting is at its
// maximum) and refuses the rest as overloaded. "Compare, put, else get" is how a compare-and-set is written. One client of
// the library with its default of 256 calls in flight got 9,000 refusals for 2,048 such transactions on a busy machine, and
// 5 to 13 % of them failed after 5 s (overloaded, outcome_unknown); without the get there was none of both.
// Mend: for operations that name one key reserve what `changeKey` reserves, the size of the present record (or at most
// `value_bytes_max` for each), and `range_bytes_max` only for ranges.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { type EmbeddedCluster, startCluster } from '../../src/index.ts'
import { MuxClient, TXN } from '../server/mux/mux-client.ts'

let cluster: EmbeddedCluster

beforeAll(async () => {
  cluster = await startCluster({ nodes: 1 })
})
afterAll(() => cluster.close())

test('64 small transactions that read one key each are taken at a time', async () => {
  await cluster.client().put('k', 'old')
  const client = await new MuxClient(Number(new URL(cluster.endpoints[0] ?? '').port)).open()
  const txn = {
    compare: [{ key: 'k', target: 'value', op: '=', to: 'old' }],
    success: [{ put: { key: 'k', value: 'new' } }],
    failure: [{ get: { key: 'k' } }],
  }
  client.send(...Array.from({ length: 64 }, (_, at) => [at + 1, TXN, null, txn] as const))
  await client.until(() => client.answers.size === 64)
  const refused = [...client.answers.values()].filter((answer) => answer[1] === 1)
  expect(refused.map((answer) => answer[2].code)).toEqual([])
})
