// Transcripts of HTTP, byte by byte: what a node answers to each request of a list, through both readers of requests.

import { connect } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { FakeNode } from './fake-node.ts'
import { COLD } from './raw-client.ts'
import { serve } from './served.ts'
// Loaded before the first request, so that every request is answered at once.
import '../../../src/server/http/routes.ts'

type Sample = readonly [line: string, headers?: readonly string[], body?: string]

const JSON_TYPE = 'Content-Type: application/json'
const NDJSON = 'Accept: application/x-ndjson'
const TOKEN = 'Idempotency-Key: t1'

const post = (target: string, body: unknown, ...headers: readonly string[]): Sample => [
  `POST ${target}`,
  [JSON_TYPE, ...headers],
  typeof body === 'string' ? body : JSON.stringify(body),
]

/** In order: later requests see what earlier ones have changed. */
const SAMPLES: readonly Sample[] = [
  // One key
  ['GET /v1/kv/a'],
  ['HEAD /v1/kv/a'],
  ['PUT /v1/kv/a', [], '1'],
  ['PUT /v1/kv/a?prev=true', [], '2'],
  ['PUT /v1/kv/new?prev', [], 'x'],
  ['GET /v1/kv/a'],
  ['HEAD /v1/kv/a'],
  ['GET /v1/kv?key=a'],
  ['GET /v1/kv/a', ['Accept: application/json']],
  ['GET /v1/kv/a', ['Accept: application/json, */*']],
  ['GET /v1/kv/a', ['If-None-Match: "3"']],
  ['GET /v1/kv/a', ['If-None-Match: "1", W/"3"']],
  ['HEAD /v1/kv/a', ['If-None-Match: *']],
  ['GET /v1/kv/a', ['If-None-Match: "2"']],
  ['GET /v1/kv/a', ['If-Match: "2"']],
  ['GET /v1/kv/a', ['If-Match: *', 'If-None-Match: *']],
  ['GET /v1/kv/none', ['If-Match: *']],
  ['GET /v1/kv/a?revision=2'],
  ['GET /v1/kv/a?revision=1'],
  ['GET /v1/kv/a?revision=99'],
  ['GET /v1/kv/a?consistency=stale'],
  ['GET /v1/kv/a?consistency=stale&max_staleness=1s'],
  ['GET /v1/kv/a?max_staleness=1s'],
  ['GET /v1/kv/a?consistency=lease&min_revision=2&timeout=2s'],
  ['GET /v1/kv/a?consistency=other'],
  ['GET /v1/kv/a?colour=red'],
  ['GET /v1/kv/a?timeout=2m'],
  ['GET /v1/kv/a?timeout=1s&timeout=2s'],
  ['GET /v1/kv/'],
  ['GET /v1/kv?key='],
  ['GET /v1/kv?key=a&key=b'],
  ['GET /v1/kv/%zz'],
  [`GET /v1/kv/${'k'.repeat(4097)}`],
  ['PUT /v1/kv/b%2Fc%00%ff', [], 'bytes'],
  ['GET /v1/kv/b%2Fc%00%ff', ['Accept: application/json']],
  ['PUT /v1/kv/a', ['If-Match: "2"'], '3'],
  ['PUT /v1/kv/a', ['If-Match: "3"'], '3'],
  ['PUT /v1/kv/a', ['If-None-Match: *'], '4'],
  ['PUT /v1/kv/none', ['If-Match: "3", "4"'], '4'],
  ['PUT /v1/kv/a', ['If-Match: 3'], '4'],
  ['PUT /v1/kv/a', [TOKEN], 'once'],
  ['PUT /v1/kv/a', [TOKEN], 'once'],
  ['PUT /v1/kv/a', [TOKEN], 'other'],
  ['PUT /v1/kv/a', ['Idempotency-Key: old;since=1'], 'once'],
  ['PUT /v1/kv/a', ['Idempotency-Key: a b'], 'x'],
  ['PUT /v1/kv/a', ['Kv-Session: 1;slot=0;seq=1'], 'x'],
  ['PUT /v1/kv/a', ['Kv-Session: nonsense'], 'x'],
  ['PUT /v1/kv/a', [TOKEN, 'Kv-Session: 1;slot=0;seq=1'], 'x'],
  ['PUT /v1/kv/a?prev=true', [TOKEN], 'x'],
  ['PUT /v1/kv/a?lease=7', [], 'x'],
  ['PUT /v1/kv/a?lease=7&ttl=30s', [], 'x'],
  ['PUT /v1/kv/a?lease=seven', [], 'x'],
  ['PUT /v1/kv/a?ttl=1ms', [], 'x'],
  ['PUT /v1/kv/leased?ttl=30s', [], 'x'],
  ['GET /v1/kv/leased', ['Accept: application/json']],
  ['PUT /v1/kv/a', ['Content-Encoding: gzip'], 'x'],
  ['PUT /v1/kv/a', ['Content-Range: bytes 0-1/2'], 'x'],
  ['PUT /v1/kv', [], 'x'],
  ['DELETE /v1/kv/new', ['If-Match: "99"']],
  ['DELETE /v1/kv/new', ['Idempotency-Key: d1']],
  ['DELETE /v1/kv/new', ['Idempotency-Key: d1']],
  ['DELETE /v1/kv/new'],
  ['DELETE /v1/kv/new?prev=true'],
  ['POST /v1/kv/a', [JSON_TYPE], '{}'],
  ['PATCH /v1/kv/a', [], ''],
  // Ranges
  ['GET /v1/kv'],
  ['GET /v1/kv?prefix=a&count=true'],
  ['GET /v1/kv?limit=1'],
  ['GET /v1/kv?limit=1&after=a&keys_only=true'],
  ['GET /v1/kv?order=desc&limit=2&count'],
  ['GET /v1/kv?count_only=true'],
  ['GET /v1/kv?start=a&end=b&revision=3'],
  ['GET /v1/kv?prefix=a&start=b'],
  ['GET /v1/kv?limit=0'],
  ['GET /v1/kv?limit=10001'],
  ['GET /v1/kv?revision=99'],
  ['GET /v1/kv', [NDJSON]],
  ['GET /v1/kv?keys_only&limit=2', [NDJSON]],
  ['GET /v1/kv?count_only', [NDJSON]],
  ['GET /v1/kv?revision=99', [NDJSON]],
  ['HEAD /v1/kv', [NDJSON]],
  ['HEAD /v1/kv'],
  ['DELETE /v1/kv'],
  ['DELETE /v1/kv?prefix='],
  ['DELETE /v1/kv?prefix=a&end=b'],
  ['DELETE /v1/kv?prefix=a', ['If-Match: *']],
  ['DELETE /v1/kv?prefix=z', ['Idempotency-Key: r1']],
  ['DELETE /v1/kv?start=b&end=c', ['Idempotency-Key: r2']],
  ['DELETE /v1/kv?start=b&end=c', ['Idempotency-Key: r2']],
  // Batches
  post('/v1/changes', { changes: [{ put: { key: 'c', value: '1' } }, { delete: { key: 'none' } }] }),
  post('/v1/changes', {
    changes: [
      { put: { key: 'c', value: { base64: '/w==' }, if_match: [1] } },
      { put: { key: { base64: '/w==' }, value: 'x', if_none_match: '*' } },
      { delete: { key: 'c', if_match: '*' } },
      { put: { key: 'c', value: '', lease: '77' } },
      { put: { key: 'c', value: '', ttl: '30s' } },
    ],
  }),
  post('/v1/changes', { changes: [{ put: { key: 'c', value: 'i' } }] }, 'Idempotency-Key: b1'),
  post('/v1/changes', { changes: [{ put: { key: 'c', value: 'i' } }] }, 'Idempotency-Key: b1'),
  post('/v1/changes', { changes: [] }),
  post('/v1/changes', { changes: [{ put: { key: '', value: 'i' } }] }),
  post('/v1/changes', { changes: [{ put: { key: 'a', value: { base64: '*' } } }] }),
  post('/v1/changes', { changes: [{ put: { key: 'a' } }] }),
  post('/v1/changes', { changes: [{}] }),
  post('/v1/changes', { changes: [{ put: { key: 'a', value: 'b', lease: '1', ttl: '2s' } }] }),
  post('/v1/changes', '{"changes"'),
  post('/v1/changes', '{"changes":[],"changes":[]}'),
  ['POST /v1/changes', ['Content-Type: text/plain'], '{}'],
  ['GET /v1/changes'],
  // Transactions
  post('/v1/txn', {
    compare: [
      { key: 'c', target: 'value', op: '=', to: 'i' },
      { key: 'none', exists: false },
    ],
    success: [
      { put: { key: 'd', value: '1', prev: true } },
      { put: { key: 'e', value: '1', ttl: '30s' } },
      { get: { prefix: '', limit: 2 } },
      { delete: { key: 'c', prev: true } },
      { txn: { success: [{ get: { key: 'd', keys_only: true } }] } },
    ],
    failure: [{ get: { key: 'c' } }],
  }),
  post('/v1/txn', {
    compare: [{ key: 'd', target: 'version', op: '>', to: 9 }],
    failure: [{ get: { key: 'd' } }],
  }),
  post('/v1/txn?consistency=stale&revision=4', { success: [{ get: { prefix: '', count_only: true } }] }),
  post('/v1/txn?consistency=stale', { success: [{ put: { key: 'd', value: '' } }] }),
  post('/v1/txn?revision=99', { success: [{ get: { key: 'd' } }] }),
  post(
    '/v1/txn',
    { success: [{ put: { key: 'd', value: 't' } }, { get: { key: 'd' } }] },
    'Idempotency-Key: x1',
  ),
  post(
    '/v1/txn',
    { success: [{ put: { key: 'd', value: 't' } }, { get: { key: 'd' } }] },
    'Idempotency-Key: x1',
  ),
  post('/v1/txn', { success: [{ put: { key: 'd', value: 't', prev: true } }] }, 'Idempotency-Key: x2'),
  post('/v1/txn', { success: [{ put: { key: 'd', value: 't' } }, { delete: { key: 'd' } }] }),
  post('/v1/txn', { success: [{ put: { key: 'd', value: 't', lease: '99' } }] }),
  post('/v1/txn', { success: Array.from({ length: 129 }, () => ({ get: { key: 'a' } })) }),
  post('/v1/txn', { compare: [{ key: 'a', target: 'version', op: '=' }] }),
  post('/v1/txn', { compare: [{ key: 'a', target: 'version', op: '=', to: 'x' }] }),
  post('/v1/txn', { compare: [{ key: 'a', target: 'lease', op: '=', to: '0' }] }),
  post('/v1/txn', { compare: [{ key: 'a', target: 'lease', op: '=', to: 'x' }] }),
  post('/v1/txn', { compare: [{ prefix: 'a', exists: true }] }),
  post('/v1/txn', { success: [{ get: { key: 'a', prefix: 'b' } }] }),
  post('/v1/txn', { success: [{ get: {} }] }),
  post('/v1/txn', { success: [{ put: { key: '', value: '' } }] }),
  post('/v1/txn', { success: [{ put: { key: 'a', value: '' }, get: { key: 'a' } }] }),
  post('/v1/txn', ''),
  // Leases
  post('/v1/leases', { ttl: '30s', id: '5' }),
  post('/v1/leases', { ttl: '30s', id: '5' }),
  post('/v1/leases', { ttl: '1s' }, 'Idempotency-Key: l1'),
  post('/v1/leases', { ttl: '1s' }, 'Idempotency-Key: l1'),
  post('/v1/leases', { ttl: 'soon' }),
  post('/v1/leases', { ttl: '30s', id: '99999999999999999999' }),
  post('/v1/leases', {}),
  ['PUT /v1/kv/l1?lease=5', [], 'x'],
  post('/v1/leases/5/keepalive', ''),
  post('/v1/leases/99/keepalive', ''),
  post('/v1/leases/x/keepalive', ''),
  post('/v1/leases/keepalive', { ids: ['5', '99'] }),
  post('/v1/leases/keepalive', { ids: ['99999999999999999999'] }),
  ['GET /v1/leases/5'],
  ['GET /v1/leases/5?keys=true&consistency=stale'],
  ['GET /v1/leases/99'],
  ['GET /v1/leases/99?keys'],
  ['GET /v1/leases/0'],
  ['GET /v1/leases'],
  ['GET /v1/leases?limit=1'],
  ['GET /v1/leases?after=5'],
  ['GET /v1/leases?after=x'],
  ['DELETE /v1/leases/5', ['Idempotency-Key: v1']],
  ['DELETE /v1/leases/5', ['Idempotency-Key: v1']],
  ['DELETE /v1/leases/5'],
  // The cluster
  ['GET /v1/status'],
  ['GET /v1/cluster'],
  post('/v1/cluster/members', {
    name: 'n4',
    replica_id: '4',
    peer: '127.0.0.1:7004',
    url: 'http://127.0.0.1:8004',
  }),
  post('/v1/cluster/members', {
    name: 'n4',
    replica_id: '4',
    peer: '127.0.0.1:7004',
    url: 'http://127.0.0.1:8004',
  }),
  post('/v1/cluster/members', {
    name: 'n1',
    replica_id: '1',
    peer: '127.0.0.1:1',
    url: 'http://127.0.0.1:8004',
  }),
  post('/v1/cluster/members', {
    name: 'n5',
    replica_id: '99999999999999999999',
    peer: 'h:1',
    url: 'http://h:1',
  }),
  post('/v1/cluster/members', { name: 'N5', replica_id: '5', peer: 'h:1', url: 'http://h:1' }),
  post('/v1/cluster/members/n3/replace', {
    replica_id: '6',
    peer: '127.0.0.1:7006',
    url: 'http://127.0.0.1:8006',
  }),
  ['DELETE /v1/cluster/members/n4'],
  ['DELETE /v1/cluster/members/n4'],
  ['DELETE /v1/cluster/members/%zz'],
  post('/v1/cluster/leader', { to: 'n1' }),
  post('/v1/cluster/leader', { to: 'nobody' }),
  post('/v1/cluster/leader', ''),
  ['GET /v1/cluster/settings'],
  post('/v1/cluster/settings', { key_bytes_max: 100 }, 'Idempotency-Key: s1'),
  post('/v1/cluster/settings', { key_bytes_max: 100 }, 'Idempotency-Key: s1'),
  post('/v1/cluster/settings', { leases: { on: true } }),
  post('/v1/cluster/settings', { leases: { on: true } }, 'Idempotency-Key: s2'),
  post('/v1/cluster/settings', { range_keys_max: 2, leases: { duration_ms: 300 } }),
  post('/v1/cluster/settings', {}),
  post('/v1/cluster/settings', { key_bytes_max: 0 }),
  post('/v1/cluster/settings', { colour: 1 }),
  ['DELETE /v1/kv?prefix=&all=true'],
  post('/v1/sessions', ''),
  post('/v1/compact', { revision: 10 }),
  post('/v1/compact', { revision: 10 }),
  post('/v1/compact', { revision: 9999 }),
  ['GET /v1/kv/a?revision=5'],
  ['GET /v1/kv?revision=5'],
  ['GET /v1/watch?from=3'],
  ['GET /v1/watch?key=a&prefix=b'],
  ['GET /v1/watch?start=b&end=a'],
  ['GET /v1/watch?progress=1ms'],
  ['GET /v1/watch', ['Last-Event-ID: x']],
  ['HEAD /v1/watch'],
  ['HEAD /v1/watch', [NDJSON]],
  // Everything else
  ['GET /livez'],
  ['GET /readyz?verbose'],
  ['GET /v1/connect'],
  ['GET /v1/nothing'],
  ['GET /nothing'],
  ['DELETE /v1/status'],
  ['OPTIONS /v1/kv/a', ['Origin: http://app.example', 'Access-Control-Request-Method: PUT']],
  ['OPTIONS /v1/kv/a', ['Origin: http://evil.example', 'Access-Control-Request-Method: PUT']],
  ['PUT /v1/kv/a', ['Origin: http://app.example'], 'cors'],
  ['PUT /v1/kv/a', ['Origin: http://evil.example'], 'cors'],
  ['GET /v1/kv/a', ['Origin: http://evil.example']],
  ['GET /v1/kv/a', ['Kv-Cluster: 1']],
  ['GET /v1/kv/a', ['Kv-Cluster: 4242']],
]

/**
 * Every operation meets the problems of the node in the same way (test/server/api/conformance-table.ts). So one of them
 * shows all, the others a read and a change.
 */
const FAILURES: readonly Sample[] = [
  ['GET /v1/kv/a'],
  ['PUT /v1/kv/a', [], 'x'],
  ['PUT /v1/kv/a?prev', [], 'x'],
  ['DELETE /v1/kv/a'],
  ['DELETE /v1/kv?prefix=a'],
  ['GET /v1/kv'],
  ['GET /v1/kv', [NDJSON]],
  ['GET /v1/watch'],
  ['GET /v1/leases'],
  ['GET /v1/leases/5'],
  ['DELETE /v1/leases/5'],
  post('/v1/leases', { ttl: '30s' }),
  post('/v1/changes', { changes: [{ delete: { key: 'a' } }] }),
  post('/v1/txn', { success: [{ put: { key: 'a', value: '' } }] }),
  post('/v1/txn', { success: [{ get: { key: 'a' } }] }),
  post('/v1/leases/5/keepalive', ''),
  post('/v1/cluster/leader', ''),
  post('/v1/cluster/settings', { range_keys_max: 2, leases: { duration_ms: 300 } }),
  ['DELETE /v1/cluster/members/n2'],
]

const PROBLEMS = [
  { code: 'no_leader', detail: 'there is no leader', written: 'no' },
  { code: 'no_quorum', detail: 'the leader is gone', written: 'unknown' },
  { code: 'internal', detail: 'it broke', written: 'unknown' },
] as const

const READERS = [
  ['the raw reader', ''],
  ['node:http', COLD],
] as const

test.each(READERS)('the transcript of %s', async (_, before) => {
  const node = new FakeNode()
  const { port } = await serve({ node, corsOrigins: ['http://app.example'] })
  let text = ''
  for (const sample of SAMPLES) text += await transcriptOf(port, sample, before)
  for (const problem of PROBLEMS) {
    node.problem = problem
    text += `==== The node fails: ${problem.code}, written: ${problem.written}\n\n`
    const samples = problem.code === 'no_quorum' ? FAILURES : FAILURES.slice(0, 2)
    for (const sample of samples) text += await transcriptOf(port, sample, before)
  }
  node.problem = undefined
  node.corrupt = () => true
  text += '==== Rows cannot be read\n\n'
  for (const target of ['/v1/kv/a?revision=20', '/v1/kv', '/v1/kv?prefix=c'])
    text += await transcriptOf(port, [`GET ${target}`], before)
  // Both readers lead to the same answers.
  await expect(text).toMatchFileSnapshot(join(import.meta.dirname, 'golden/transcript.txt'))
})

async function transcriptOf(port: number, sample: Sample, before: string): Promise<string> {
  const [line, headers = [], body] = sample
  const length = body === undefined ? [] : [`Content-Length: ${Buffer.byteLength(body)}`]
  const head = [`${line} HTTP/1.1`, 'Host: localhost', ...headers, ...length].join('\r\n')
  const answer = await exchange(port, `${head}\r\n\r\n${body ?? ''}`, before)
  const asked = [line.slice(0, 120), ...headers, ...(body === undefined ? [] : [body.slice(0, 200)])]
  return `>>> ${asked.join('\n    ')}\n${shortened(answer.replaceAll('\r\n', '\n')).trimEnd()}\n\n`
}

/** The headers that nearly every answer has take one line: what differs is seen at once. */
const shortened = (answer: string): string =>
  answer
    .replace(
      /Kv-Cluster: (.*)\nKv-Node: (.*)\nKv-Term: (.*)\nKv-Revision: (.*)\nKv-Leader: (.*)\n/,
      'Kv-Cluster/Node/Term/Revision/Leader: $1 $2 $3 $4 $5\n',
    )
    .replace('Connection: keep-alive\nKeep-Alive: timeout=75\n', 'Connection: keep-alive (75)\n')

/** All bytes received on a separate connection, after the response to `before`. */
function exchange(port: number, request: string, before: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    let received = ''
    let isSent = before === ''
    const send = (): void => void socket.end(request, 'latin1')
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1')
      if (isSent || !received.endsWith('}')) return
      isSent = true
      received = ''
      send()
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(received.replace(/\r\nDate: [^\r]{29}/, '')))
    if (isSent) send()
    else socket.write(before)
  })
}
