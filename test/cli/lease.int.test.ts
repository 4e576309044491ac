// kv lease, and keys with a lease: on a real node, with wrong arguments, until Ctrl-C.

import type { ChildProcess } from 'node:child_process'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Client } from '../../src/client/index.ts'
import { type EmbeddedCluster, startCluster } from '../../src/embed/index.ts'
import { kv as run } from './run-kv.ts'

let cluster: EmbeddedCluster
let client: Client
let url: string

beforeAll(async () => {
  cluster = await startCluster({ nodes: 1 })
  client = cluster.client()
  url = cluster.endpoints[0] ?? ''
})

afterAll(async () => {
  await cluster.close()
})

const kv = (args: string, more: Parameters<typeof run>[1] = {}) =>
  run(args.split(' '), { endpoints: url, ...more })

/** Its id. */
async function granted(): Promise<string> {
  const { code, out } = await kv('lease grant 10m')
  expect(code).toBe(0)
  return out.trim()
}

test('a lease is granted, has keys, is shown and listed, and takes its keys with it when it is revoked', async () => {
  const id = await granted()
  expect(await kv(`put leased/1 up --lease ${id}`)).toMatchObject({ code: 0, err: '' })
  expect(JSON.parse((await kv('get leased/1 -o json')).out)).toMatchObject({ value: 'up', lease: id })
  const shown = await kv(`lease show ${id} --keys -o json`)
  expect(JSON.parse(shown.out)).toEqual({
    id,
    granted_ttl_ms: 600_000,
    remaining_ttl_ms: expect.any(Number),
    keys: ['leased/1'],
  })
  const plain = await kv(`lease show ${id} --keys`)
  expect(plain.out).toMatch(new RegExp(`^${id}\t600000\t[0-9]+\nleased/1\n$`))
  const listed = (await kv('lease list -o ndjson')).out.trim().split('\n')
  expect(listed.map((line) => JSON.parse(line).id)).toContain(id)
  expect(JSON.parse((await kv('lease list -o json')).out)).toHaveLength(listed.length)
  expect(await kv('lease list -o table')).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^ID +GRANTED +REMAINING\n/),
  })
  const revoked = await kv(`lease revoke ${id} -o json`)
  expect(JSON.parse(revoked.out)).toEqual({ deleted: 1, revision: expect.any(Number) })
  expect((await kv('get leased/1')).code).toBe(3)
})

test('what names a lease that does not exist ends with 3', async () => {
  for (const args of [
    'lease show 77',
    'lease revoke 77',
    'lease keep-alive 77',
    'lease keep-alive 77 --once',
    'put k v --lease 77',
  ]) {
    const ended = await kv(args)
    expect([args, ended.code, ended.out]).toEqual([args, 3, ''])
    expect(ended.err).toContain('lease 77')
  }
  expect(await client.get('k')).toBeUndefined()
})

test('put --ttl gives a key a lease of its own, and a put without it takes it away', async () => {
  await kv('put timed v --ttl 1h')
  const id = (await client.get('timed'))?.lease ?? ''
  expect(await client.lease(id)).toMatchObject({ grantedTtlMs: 3_600_000 })
  expect(JSON.parse((await kv('get tim --prefix -o json')).out)).toMatchObject([{ lease: id }])
  await kv('put timed v')
  expect(JSON.parse((await kv('get timed -o json')).out)).not.toHaveProperty('lease')
})

test.each([
  ['put k v --ttl 30s --lease 7', 'a key has one lease'],
  ['put k v --ttl 30', 'a number with ms, s, m or h'],
  ['put k v --ttl 999ms', 'from 1s to 87600h'],
  ['put k v --lease 0', 'from 1 to 2^64 - 1'],
  ['lease grant 87601h', 'from 1s to 87600h'],
  ['lease show 18446744073709551616', 'from 1 to 2^64 - 1'],
  ['lease show -1', "'-1'"],
  ['lease show 0x1', 'from 1 to 2^64 - 1'],
])('%s: a wrong argument ends with 2', async (args, why) => {
  const ended = await kv(args)
  expect(ended).toMatchObject({ code: 2, out: '' })
  expect(ended.err).toContain(why)
})

test('the longest and the shortest time to live are granted', async () => {
  const long = JSON.parse((await kv('lease grant 87600h -o json')).out)
  expect(long).toEqual({ id: expect.any(String), ttl_ms: 315_360_000_000 })
  expect((await kv('lease grant 1s -o json')).out).toContain('"ttl_ms": ')
  expect(await kv(`lease keep-alive ${long.id} --once`)).toMatchObject({ code: 0, out: '315360000000\n' })
  await client.revokeLease(long.id)
})

test('keep-alive goes on until Ctrl-C, ends with 130, and leaves the lease', async () => {
  const { id } = await client.grantLease({ ttlMs: 600_000 })
  const started = (child: ChildProcess) => child.stdout?.once('data', () => child.kill('SIGINT'))
  const ended = await kv(`lease keep-alive ${id}`, { started })
  expect(ended).toMatchObject({ code: 130, out: '600000\n' })
  expect(await client.lease(id)).toBeDefined()
  await client.revokeLease(id)
})

test('keep-alive of a lease that another one revokes ends with 3', async () => {
  const { id, ttlMs } = await client.grantLease({ ttlMs: 1_000 })
  const started = (child: ChildProcess) => child.stdout?.once('data', () => void client.revokeLease(id))
  const ended = await kv(`lease keep-alive ${id}`, { started })
  expect(ended).toMatchObject({ code: 3, out: `${ttlMs}\n` })
  expect(ended.err).toContain(`there is no lease ${id}`)
})
