// Leases over HTTP, on a node whose cluster time the test moves.

import { describe, expect, test } from 'vitest'
import type { LeaseId } from '../../../src/operations/forms/index.ts'
import { PIECE_BYTES } from '../../../src/server/api/budget.ts'
import { atRest, onNodeHttp, settled, until } from './raw-client.ts'
import { JSON_TYPE, type Served, type Serving, serve } from './served.ts'

const post = (body: object, headers: Record<string, string> = {}) => ({
  body: JSON.stringify(body),
  headers: { ...JSON_TYPE, ...headers },
})

async function grant({ ask }: Served, body: object = { ttl: '30s' }): Promise<string> {
  const { json, status } = await ask('POST', '/v1/leases', post(body))
  expect(status).toBe(200)
  return json.id
}

test('what cannot be read of leases is a problem, and what was read leaves nothing behind', async () => {
  const served = await serve()
  const { ask, node, http } = served
  await grant(served, { ttl: '30s', id: '7' })
  expect((await ask('PUT', '/v1/kv/a?lease=7', { body: '' })).status).toBe(200)
  const targets = ['/v1/leases', '/v1/leases/7?keys']
  for (const target of targets) expect((await ask('GET', target)).status).toBe(200)
  const rest = () => [node.openScans, http.inspect().ranges, http.inspect().answerBytes]
  expect(rest()).toEqual([0, 0, 0])
  // The row of the lease itself can be read, as its keys cannot.
  for (const table of [6, 7]) {
    node.corrupt = (key) => key[0] === table
    expect((await ask('GET', targets[table - 6] ?? '')).json).toMatchObject({ status: 500, code: 'internal' })
    expect(rest()).toEqual([0, 0, 0])
  }
})

describe('a lease with many keys', () => {
  const ID = '7' as LeaseId
  const TARGET = `/v1/leases/${ID}?keys=true`
  const SLICE = { sliceBytesMax: 64 * 1024 }

  /** Each byte of a key is six bytes of JSON. */
  async function withKeys(count: number, keyBytes: number, serving: Serving = {}) {
    const served = await serve(serving)
    const { node } = served
    node.apply({ kind: 'grant', id: ID, ttlMs: 30_000 })
    const keys = Array.from({ length: count }, (_, i) => `${i + 10_000}${'\u0001'.repeat(keyBytes - 5)}`)
    const lease = { id: ID }
    const value = new Uint8Array()
    for (const key of keys)
      node.apply({ kind: 'put', key: Buffer.from(key), value, condition: undefined, prev: false, lease })
    const read = { slices: 0 }
    node.onSlice = () => read.slices++
    return { ...served, keys, read, json: { id: ID, granted_ttl_ms: 30_000, remaining_ttl_ms: 30_000, keys } }
  }

  test('is shown slice by slice, in pieces, and in the form that one with few keys has', async () => {
    const few = await withKeys(3, 10)
    const { headers, json } = await few.ask('GET', TARGET)
    expect([json, few.read.slices]).toEqual([few.json, 1])
    expect(Number(headers['content-length'])).toBeGreaterThan(0)

    const many = await withKeys(500, 1000, { limits: SLICE })
    const answer = await many.ask('GET', TARGET)
    expect(answer.text === JSON.stringify(many.json)).toBe(true)
    expect(answer.headers).toMatchObject({ 'content-type': 'application/json', 'kv-revision': '501' })
    const client = await onNodeHttp(many)
    const request = `GET ${TARGET} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`
    const chunks = chunksOf(await (await client.send(request)).rest())
    expect(chunks.join('') === answer.text).toBe(true)
    expect(Math.max(...chunks.map(({ length }) => length))).toBeLessThanOrEqual(PIECE_BYTES)
    expect((await many.ask('HEAD', TARGET)).status).toBe(200)
    expect([many.node.openScans, many.http.inspect().answerBytes]).toEqual([0, 0])
  })

  test('is read no faster than its client takes it', async () => {
    const served = await withKeys(750, 4000, { limits: { ...SLICE, writeStallMsMax: 600_000 } })
    const client = await onNodeHttp(served)
    client.pause()
    await client.send(`GET ${TARGET} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
    const { http, read } = served
    await until(served, () => read.slices > 0)
    // 18 MB neither went out nor piled up.
    const waiting = await settled(served, () => http.inspect().answerBytes)
    expect(waiting).toBeGreaterThan(0)
    expect(waiting).toBeLessThanOrEqual(6 * SLICE.sliceBytesMax)
    expect(read.slices).toBeLessThan(40)
    client.leave()
    await atRest(served)
    expect(served.node.openScans).toBe(0)
  })

  test.each([
    ['cannot be read', 'reported'],
    ['takes too long', 'not reported'],
  ] as const)(
    'of which the rest %s ends with a broken connection: half an answer is none',
    async (why, how) => {
      const limits = { ...SLICE, ...(why === 'takes too long' && { streamMsMax: 0 }) }
      const served = await withKeys(500, 1000, { limits })
      const { node, ask, logged, read } = served
      node.onSlice = () => {
        read.slices++
        if (why === 'cannot be read' && read.slices === 3) node.corrupt = () => true
      }
      const status = ask('GET', TARGET).then((answer) => answer.status)
      await expect(status).rejects.toThrow()
      expect(logged.some((line) => line.includes('CRC'))).toBe(how === 'reported')
      await atRest(served, 1)
      expect(node.openScans).toBe(0)
      const counted = (await served.metrics.text()).match(/^quorate_http_requests_total.*$/gm)
      expect(counted).toEqual(['quorate_http_requests_total{operation="other",status="200"} 1'])
    },
  )
})

/** The chunks of a chunked answer. */
function chunksOf(answer: string): string[] {
  const chunks: string[] = []
  let at = answer.indexOf('\r\n\r\n') + 4
  for (;;) {
    const from = answer.indexOf('\r\n', at) + 2
    const length = Number.parseInt(answer.slice(at, from), 16)
    if (!(length > 0)) return chunks
    chunks.push(answer.slice(from, from + length))
    at = from + length + 2
  }
}

test('a lease is never said to have more than its time to live, also when checkpoints have become more frequent', async () => {
  const served = await serve()
  const { ask, node } = served
  await grant(served, { ttl: '30s', id: '7' })
  node.apply({ kind: 'settings', settings: { leaseCheckpointMs: 1000 } })
  const lease = { id: '7', granted_ttl_ms: 30_000, remaining_ttl_ms: 30_000 }
  expect((await ask('GET', '/v1/leases/7')).json).toEqual(lease)
  expect((await ask('GET', '/v1/leases')).json.leases).toEqual([lease])
})

test('what is left of a lease is what the leader knows, except in a stale read', async () => {
  const served = await serve()
  const { ask, node } = served
  for (const id of ['3', '7']) await grant(served, { ttl: '30s', id })
  node.clusterTimeMs = 10_000
  node.knownTtls.set('7', 29_000)
  const left = async (query: string) => {
    const { leases } = (await ask('GET', `/v1/leases${query}`)).json
    const all: number[] = leases.map((lease: { remaining_ttl_ms: number }) => lease.remaining_ttl_ms)
    return [...all, (await ask('GET', `/v1/leases/7${query}`)).json.remaining_ttl_ms]
  }
  expect(await left('')).toEqual([20_000, 29_000, 29_000])
  expect(await left('?consistency=stale')).toEqual([20_000, 20_000, 20_000])
})

test('leases are listed page by page', async () => {
  const served = await serve()
  const { ask } = served
  expect((await ask('GET', '/v1/leases')).json).toEqual({ leases: [], more: false, revision: 1 })
  const ids = ['3', '256', '9223372036854775807', '70000']
  for (const id of ids) await grant(served, { ttl: '30s', id })
  const sorted = ['3', '256', '70000', '9223372036854775807']
  const all = (await ask('GET', '/v1/leases')).json
  expect(all.leases.map(({ id }: { id: string }) => id)).toEqual(sorted)
  expect(all.leases[0]).toEqual({ id: '3', granted_ttl_ms: 30_000, remaining_ttl_ms: 30_000 })
  for (const limit of [1, 2, 3, 4]) {
    const found: string[] = []
    for (let after = ''; ; ) {
      const { json } = await ask('GET', `/v1/leases?limit=${limit}${after}`)
      found.push(...json.leases.map(({ id }: { id: string }) => id))
      expect(json.next).toBe(json.more ? found.at(-1) : undefined)
      if (!json.more) break
      after = `&after=${json.next}`
    }
    expect(found).toEqual(sorted)
  }
  for (const query of ['limit=0', 'after=0', 'after=x', 'prefix=a'])
    expect((await ask('GET', `/v1/leases?${query}`)).status).toBe(400)
})

test('under a token a lease is granted once, and a put makes one lease', async () => {
  const { ask } = await serve()
  const token = { 'Idempotency-Key': 't' }
  const [first, again] = [
    await ask('POST', '/v1/leases', post({ ttl: '30s' }, token)),
    await ask('POST', '/v1/leases', post({ ttl: '30s' }, token)),
  ]
  expect(again.json).toEqual(first.json)
  expect(again.headers['idempotency-replayed']).toBe('true')
  for (let time = 0; time < 2; time++)
    await ask('PUT', '/v1/kv/a?ttl=30s', { body: 'v', headers: { 'Idempotency-Key': 'p' } })
  expect((await ask('GET', '/v1/leases')).json.leases).toHaveLength(2)
  for (let time = 0; time < 2; time++)
    expect(
      (await ask('DELETE', `/v1/leases/${first.json.id}`, { headers: { 'Idempotency-Key': 'd' } })).json,
    ).toEqual({ deleted: 0, revision: 2 })
})
