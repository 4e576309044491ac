// Transcripts of multiplexed connections, byte by byte: the message that answers each operation of a list.

import { join } from 'node:path'
import { Unpackr } from 'msgpackr'
import { expect, test } from 'vitest'
import { FakeNode } from '../http/fake-node.ts'
import { serve } from '../http/served.ts'
import {
  CHANGES,
  COMPACT,
  DELETE,
  DELETE_RANGE,
  GET,
  KEEP_ALIVE,
  MuxClient,
  OPEN_SESSION,
  PUT,
  RANGE,
  TXN,
  WATCH,
} from './mux-client.ts'

type Fields = readonly unknown[]

const long = 'k'.repeat(4097)

/** In order: later operations see what earlier ones have changed. */
const SAMPLES: readonly Fields[] = [
  [PUT, null, 'a', '1'],
  [PUT, 1000, Buffer.from([0xff, 0]), Buffer.from([1, 2])],
  [PUT, null, 'a', '2', null, { prev: true }],
  [PUT, null, 'new', 'x', null, { prev: true }],
  [PUT, null, 'a', '3', null, { if_match: [1] }],
  [PUT, null, Buffer.from([0xff, 0]), '3', null, { if_none_match: '*' }],
  [PUT, null, 'none', '3', null, { if_match: '*' }],
  [PUT, null, 'a', 't', ['t1']],
  [PUT, null, 'a', 't', ['t1', 2]],
  [PUT, null, 'a', 'other', ['t1']],
  [PUT, null, 'a', 't', ['t2'], { prev: true }],
  [PUT, null, 'a', 't', ['bad token']],
  [PUT, null, 'a', 't', [1, 0, 1]],
  [PUT, null, 'a', 't', 7],
  [PUT, null, 'a', 't', null, { lease: '5' }],
  [PUT, null, 'a', 't', null, { lease: '5', ttl_ms: 3000 }],
  [PUT, null, 'a', 't', null, { lease: 'x' }],
  [PUT, null, 'a', 't', null, { ttl_ms: 1 }],
  [PUT, null, 'leased', 't', null, { ttl_ms: 1000 }],
  [PUT, null, '', 't'],
  [PUT, null, long, 't'],
  [PUT, null, 7, 't'],
  [PUT, 0, 'a', 't'],
  [PUT, null, 'a', 't', null, { colour: 1 }],
  [PUT, null, 'a', 't', null, null, 1],
  [GET, null, 'a'],
  [GET, null, 'none'],
  [GET, null, 'leased', 2, { consistency: 'stale' }],
  [GET, null, 'a', null, { max_staleness_ms: 7 }],
  [GET, null, 'a', null, { consistency: 'stale', max_staleness_ms: 7.5 }],
  [GET, null, 'a', null, null, 2],
  [GET, null, 'a', null, null, 1],
  [GET, null, 'a', null, null, 999],
  [GET, null, 'a', 'x'],
  [DELETE, null, 'new', null, { if_match: [99] }],
  [DELETE, null, 'new', ['d1'], { if_match: '*' }],
  [DELETE, null, 'new', ['d1'], { if_match: '*' }],
  [DELETE, null, 'new', null, { prev: true }],
  [DELETE, null, 'new', ['d2'], { prev: true }],
  [RANGE, null],
  [RANGE, null, { prefix: 'a', count: true }],
  [RANGE, null, { limit: 1, keys_only: true, order: 'desc' }],
  [RANGE, null, { count_only: true }, null, { consistency: 'lease' }],
  [RANGE, null, { start: 'a', end: 'b', after: 'a', revision: 3 }],
  [RANGE, null, { prefix: 'a', end: 'b' }],
  [RANGE, null, { limit: 10_001 }],
  [RANGE, null, { revision: 999 }],
  [
    CHANGES,
    null,
    [
      [PUT, 'c', '1'],
      [DELETE, 'none'],
    ],
  ],
  [
    CHANGES,
    null,
    [
      [PUT, 'c', Buffer.from([0xff]), { if_match: [1] }],
      [PUT, 'd', 'x', { if_none_match: '*' }],
      [DELETE, 'd', { if_match: '*' }],
      [PUT, 'c', '', { lease: '77' }],
      [PUT, 'c', '', { ttl_ms: 30_000 }],
    ],
  ],
  [CHANGES, null, [[PUT, 'c', 'i']], ['b1']],
  [CHANGES, null, [[PUT, 'c', 'i']], ['b1']],
  [CHANGES, null, []],
  [CHANGES, null, [[PUT, '', 'i']]],
  [CHANGES, null, [[PUT, 'a', 'i', { prev: true }]]],
  [CHANGES, null, [[GET, 'a']]],
  [
    TXN,
    null,
    {
      compare: [
        { key: 'c', target: 'value', op: '=', to: 'i' },
        { key: 'none', exists: false },
      ],
      success: [
        { put: { key: 'd', value: '1', prev: true } },
        { put: { key: 'e', value: '1', ttl: '1s' } },
        { get: { prefix: '', limit: 2 } },
        { delete: { key: 'c', prev: true } },
        { txn: { success: [{ get: { key: 'd', keys_only: true } }] } },
      ],
      failure: [{ get: { key: 'c' } }],
    },
  ],
  [
    TXN,
    null,
    { compare: [{ key: 'd', target: 'version', op: '>', to: 9 }], failure: [{ get: { key: 'd' } }] },
  ],
  [TXN, null, { success: [{ get: { prefix: '', count_only: true } }] }, null, 4, { consistency: 'stale' }],
  [TXN, null, { success: [{ put: { key: 'd', value: '' } }] }, null, 4],
  [TXN, null, { success: [{ put: { key: 'd', value: 't' } }, { get: { key: 'd' } }] }, ['x1']],
  [TXN, null, { success: [{ put: { key: 'd', value: 't' } }, { get: { key: 'd' } }] }, ['x1']],
  [TXN, null, { success: [{ put: { key: 'd', value: 't', prev: true } }] }, ['x2']],
  [TXN, null, { success: [{ put: { key: 'd', value: 't' } }, { delete: { key: 'd' } }] }],
  [TXN, null, { success: [{ put: { key: 'd', value: 't', lease: '99' } }] }],
  [TXN, null, { success: Array.from({ length: 129 }, () => ({ get: { key: 'a' } })) }],
  [TXN, null, { compare: [{ key: 'a', target: 'version', op: '=' }] }],
  [TXN, null, { compare: [{ key: 'a', target: 'version', op: '=', to: 'x' }] }],
  [TXN, null, { success: [{ get: { key: 'a', prefix: 'b' } }] }],
  [TXN, null, { success: [{ put: { key: 'a', value: 'x' }, get: { key: 'a' } }] }],
  [TXN, null, { colour: [] }],
  [DELETE_RANGE, null, { prefix: '' }],
  [DELETE_RANGE, null, {}],
  [DELETE_RANGE, null, { prefix: 'a', end: 'b' }],
  [DELETE_RANGE, null, { start: 'd', end: 'e' }, ['r1']],
  [DELETE_RANGE, null, { start: 'd', end: 'e' }, ['r1']],
  [OPEN_SESSION, null],
  [KEEP_ALIVE, null, ['77', '1']],
  [KEEP_ALIVE, null, ['x']],
  [KEEP_ALIVE, null, []],
  [COMPACT, null, 10],
  [COMPACT, null, 10],
  [COMPACT, null, null],
  [GET, null, 'a', null, null, 5],
  [RANGE, null, { revision: 5 }],
  [WATCH, null, { prefix: 'w' }, null, { prev: true }],
  [WATCH, null, null, 3],
  [WATCH, null, { key: 'a', prefix: 'b' }],
  [WATCH, null, { start: 'b', end: 'a' }],
  [WATCH, null, null, null, { progress_ms: 1 }],
  [PUT, null, 'w1', 'watched'],
  [DELETE_RANGE, null, { prefix: '', all: true }],
]

/** One problem shows all, the others a few: what each operation says is in test/server/api/conformance-table.ts. */
const FAILURES: readonly Fields[] = [
  [PUT, null, 'a', '1'],
  [PUT, null, 'a', '1', null, { prev: true }],
  [GET, null, 'a'],
  [DELETE, null, 'a'],
  [RANGE, null],
  [CHANGES, null, [[PUT, 'a', '1']]],
  [TXN, null, { success: [{ get: { key: 'd' } }] }],
  [TXN, null, { success: [{ put: { key: 'd', value: '' } }] }],
  [DELETE_RANGE, null, { prefix: 'a' }],
  [OPEN_SESSION, null],
  [KEEP_ALIVE, null, ['77']],
  [COMPACT, null, 10],
  [WATCH, null],
]

const PROBLEMS = [
  { code: 'no_leader', detail: 'there is no leader', written: 'no' },
  { code: 'no_quorum', detail: 'the leader is gone', written: 'unknown' },
  { code: 'internal', detail: 'it broke', written: 'unknown' },
] as const

test('the transcript of a multiplexed connection', async () => {
  const node = new FakeNode()
  const { port } = await serve({ node })
  const client = await new MuxClient(port).open()
  const frames: Buffer[] = []
  client.ws.on('message', (data: Buffer) => frames.push(data))
  let id = 0
  const transcriptOf = async (fields: Fields): Promise<string> => {
    id++
    await client.ask(id, ...fields)
    // Items of watches may arrive in the same turn of the event loop, or in the next one.
    await new Promise((resolve) => setImmediate(resolve))
    const lines = frames
      .splice(0)
      .map((frame) => `${shown(unpackr.unpack(frame))}\n  ${frame.toString('hex')}`)
    return `>>> ${shown(fields).slice(0, 300)}\n${lines.join('\n')}\n\n`
  }
  let text = ''
  for (const fields of SAMPLES) text += await transcriptOf(fields)
  for (const problem of PROBLEMS) {
    node.problem = problem
    text += `==== The node fails: ${problem.code}, written: ${problem.written}\n\n`
    const samples = problem.code === 'no_quorum' ? FAILURES : FAILURES.slice(0, 3)
    for (const fields of samples) text += await transcriptOf(fields)
  }
  await expect(text).toMatchFileSnapshot(join(import.meta.dirname, 'golden/transcript.txt'))
})

const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number' })

const shown = (value: unknown): string =>
  JSON.stringify(value, (_, each) =>
    each?.type === 'Buffer' ? Buffer.from(each.data).toString('latin1') : each,
  )
