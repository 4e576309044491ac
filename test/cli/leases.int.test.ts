// kv lease, and kv put with a lease, on a real node.

import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Client } from '../../src/client/index.ts'
import { type EmbeddedCluster, startCluster } from '../../src/embed/index.ts'
import { kv as run, startKv } from './run-kv.ts'

let cluster: EmbeddedCluster
let client: Client
let url: string

beforeAll(async () => {
  cluster = await startCluster({ nodes: 1 })
  client = cluster.client()
  url = cluster.endpoints[0] ?? ''
})

afterAll(() => cluster.close())

const kv = (...args: readonly string[]) => run(args, { endpoints: url })

test('leases are granted, shown, kept alive, listed and revoked', async () => {
  const granted = await kv('lease', 'grant', '30s')
  const id = granted.out.trim()
  expect([granted.code, granted.err, /^[0-9]+$/.test(id)]).toEqual([0, '', true])
  expect(await kv('put', 'leased/a', '1', '--lease', id)).toMatchObject({ code: 0 })
  expect(JSON.parse((await kv('get', 'leased/a', '-o', 'json')).out)).toMatchObject({ lease: id })
  expect(JSON.parse((await kv('lease', 'show', id, '--keys', '-o', 'json')).out)).toMatchObject({
    ...{ id, granted_ttl_ms: 30_000 },
    keys: ['leased/a'],
  })
  expect((await kv('lease', 'keep-alive', id, '--once')).out).toBe('30000\n')
  expect((await kv('lease', 'list', '-o', 'ndjson')).out).toContain(`"id":"${id}"`)
  expect(await kv('lease', 'revoke', id)).toMatchObject({ code: 0, out: '1\n' })
  expect((await kv('get', 'leased/a')).code).toBe(3)
  for (const args of [['show'], ['revoke'], ['keep-alive'], ['keep-alive', '--once']])
    expect((await kv('lease', args[0] ?? '', id, ...args.slice(1))).code, String(args)).toBe(3)
  expect((await kv('put', 'leased/a', '1', '--lease', id)).code).toBe(3)
  expect((await kv('put', 'leased/a', '1', '--lease', id, '--ttl', '5s')).code).toBe(2)
  expect((await kv('lease', 'grant', '10ms')).code).toBe(2)
  expect((await kv('lease', 'grant', '87601h')).code).toBe(2)
  expect((await kv('lease', 'show', '0')).code).toBe(2)
})

test('a short time to live is raised, and that is said', async () => {
  const granted = await kv('lease', 'grant', '1s', '--id', '4711')
  expect(granted.out).toBe('4711\n')
  expect(granted.err).toContain('raised to 2.0 s')
})

test('keep-alive goes on until Ctrl-C, or until the lease is gone', async () => {
  const { id } = await client.grantLease({ ttlMs: 60_000 })
  const kept = startKv(['lease', 'keep-alive', id], { endpoints: url })
  await kept.printed('is kept alive')
  kept.signal('SIGINT')
  expect((await kept.ended).code).toBe(130)
  const { id: short } = await client.grantLease({ ttlMs: 2000 })
  const lost = startKv(['lease', 'keep-alive', short], { endpoints: url })
  await lost.printed('is kept alive')
  await client.revokeLease(short)
  expect(await lost.ended).toMatchObject({
    code: 3,
    err: expect.stringContaining(`there is no lease ${short}`),
  })
})

test('a key with a time to live has a lease of its own', async () => {
  await kv('put', 'short', 'x', '--ttl', '30s')
  const { lease = '' } = (await client.get('short')) ?? {}
  expect(await client.lease(lease, { keys: true })).toMatchObject({
    grantedTtlMs: 30_000,
    keys: [new Uint8Array(Buffer.from('short'))],
  })
})
