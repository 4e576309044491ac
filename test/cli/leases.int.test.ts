// kv lease, and kv put with a lease, on a real node.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Client } from '../../src/client/index.ts'
import { type EmbeddedCluster, startCluster } from '../../src/embed/index.ts'
import { KV, kv as run } from './run-kv.ts'

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

/** A command that runs until it is ended. */
function running(...args: readonly string[]) {
  const child = spawn(process.execPath, [KV, ...args], { env: { ...process.env, KV_ENDPOINTS: url } })
  const texts = { out: '', err: '' }
  child.stdout.on('data', (chunk) => (texts.out += String(chunk)))
  child.stderr.on('data', (chunk) => (texts.err += String(chunk)))
  const said = async (what: 'out' | 'err', text: string) => {
    while (!texts[what].includes(text)) {
      const ended = child.exitCode !== null || child.signalCode !== null
      if (ended) throw new Error(`it has ended: ${JSON.stringify(texts)}`)
      await Promise.race([once(child[what === 'out' ? 'stdout' : 'stderr'], 'data'), once(child, 'close')])
    }
  }
  const closed = once(child, 'close')
  const end = async (signal: NodeJS.Signals = 'SIGINT') => {
    child.kill(signal)
    await closed
    return child.exitCode
  }
  return { child, texts, said, closed, end }
}

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
  const kept = running('lease', 'keep-alive', id)
  await kept.said('err', 'is kept alive')
  expect(await kept.end()).toBe(130)
  const { id: short } = await client.grantLease({ ttlMs: 2000 })
  const lost = running('lease', 'keep-alive', short)
  await lost.said('err', 'is kept alive')
  await client.revokeLease(short)
  await lost.closed
  expect(lost.child.exitCode).toBe(3)
  expect(lost.texts.err).toContain(`there is no lease ${short}`)
})

test('a key with a time to live is deleted by itself', async () => {
  await kv('put', 'short', 'x', '--ttl', '1s')
  const watch = client.watch({ key: 'short', only: 'delete' })
  await watch.ready
  // It may have been deleted before the watch began.
  if ((await client.get('short')) !== undefined) await watch.next()
  await watch.close()
  expect((await kv('get', 'short')).code).toBe(3)
})
