// Leases and sessions on a real cluster: over both transports, while nodes fail, and in a process that is stopped.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { inspect } from '../../src/client/client.ts'
import type { Client, Session } from '../../src/client/index.ts'
import { type EmbeddedCluster, startCluster } from '../../src/embed/index.ts'

/** The shortest time to live depends on the election timeout. */
const TIMING = { heartbeatMs: 40, electionMinMs: 200, electionMaxMs: 400 }
const AT_REST = { calls: 0, permits: 0, requests: 0, probes: 0 }
const LOST = { name: 'SessionLostError', code: 'session_lost', written: 'no' }

let cluster: EmbeddedCluster
let kv: Client
let other: Client

beforeAll(async () => {
  cluster = await startCluster({ nodes: 3, timing: TIMING })
  kv = cluster.client({ timeoutMs: 30_000 })
  other = cluster.client({ timeoutMs: 30_000 })
})

afterAll(async () => {
  for (const client of [kv, other]) await atRest(client)
  await cluster.close()
})

const until = async (condition: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await condition())) await sleep(20)
}

async function atRest(client: Client): Promise<void> {
  await until(() => client[inspect]().requests === 0)
  expect(client[inspect]()).toEqual(AT_REST)
}

const fired = async ({ signal }: Session): Promise<void> => {
  if (!signal.aborted) await once(signal, 'abort')
}

async function collected<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

const hasEnded = (id: string) => async (): Promise<boolean> => (await other.lease(id)) === undefined

describe.each(['http', 'auto'] as const)('transport %s', (transport) => {
  let kv: Client

  beforeAll(async () => {
    kv = cluster.client({ timeoutMs: 30_000, transport })
    // Enough for a client to make its connections.
    if (transport === 'auto')
      for (let round = 0; round < 5; round++)
        await Promise.all(Array.from({ length: 20 }, () => kv.put('warm-up', String(round))))
  })

  afterAll(async () => {
    await atRest(kv)
  })

  test('a lease is granted, kept alive, shown, listed and revoked', async () => {
    const { id, ttlMs } = await kv.grantLease({ ttlMs: 600_000 })
    expect(ttlMs).toBe(600_000)
    const results = await Promise.all([
      kv.put('leased/a', '1', { lease: id }),
      kv.put('leased/b', '1', { lease: id }),
      kv.put('leased/c', '1'),
    ])
    expect(results.map(({ version }) => version)).toEqual([1, 1, 1])
    expect([(await kv.get('leased/a'))?.lease, (await kv.get('leased/c'))?.lease]).toEqual([id, undefined])
    const leases = (await collected(kv.list({ prefix: 'leased/' }))).map(({ lease }) => lease)
    expect(leases).toEqual([id, id, undefined])
    expect(await kv.keepLeaseAlive(id)).toEqual({ ttlMs: 600_000 })
    expect(await kv.keepLeasesAlive([id, '77', id])).toEqual([
      { id, ttlMs: 600_000 },
      { id: '77', ttlMs: undefined },
      { id, ttlMs: 600_000 },
    ])
    const keys = ['leased/a', 'leased/b'].map((key) => new Uint8Array(Buffer.from(key)))
    expect(await kv.lease(id, { keys: true })).toMatchObject({ id, grantedTtlMs: 600_000, keys })
    expect((await collected(kv.leases())).map((lease) => lease.id)).toContain(id)
    expect(await kv.revokeLease(id)).toMatchObject({ deleted: 2 })
    expect(await kv.lease(id)).toBeUndefined()
    expect(await kv.count({ prefix: 'leased/' })).toBe(1)
    await kv.delete('leased/c')
  })

  test('a lease that does not exist is an error of every call that needs it, and nothing is written', async () => {
    const missing = { code: 'lease_not_found', written: 'no' }
    await expect(kv.keepLeaseAlive('77')).rejects.toMatchObject(missing)
    await expect(kv.revokeLease('77')).rejects.toMatchObject(missing)
    await expect(kv.session({ lease: '77' })).rejects.toMatchObject(missing)
    const puts = [kv.put('refused', '1', { lease: '77' }), kv.put('with-it', '1')]
    const [refused, made] = await Promise.allSettled(puts)
    expect([refused?.status, made?.status]).toEqual(['rejected', 'fulfilled'])
    expect(refused).toMatchObject({ reason: missing })
    expect(await kv.get('refused')).toBeUndefined()
  })
})

test('when another one revokes the lease, a put of the session is refused, and its signal fires', async () => {
  const session = await kv.session({ ttlMs: 600_000 })
  await session.put('mine', '1')
  await other.revokeLease(session.lease)
  await expect(session.put('mine', '2')).rejects.toMatchObject({ code: 'lease_not_found', written: 'no' })
  expect(session.signal.reason).toMatchObject(LOST)
  await session.close()
  expect(await kv.get('mine')).toBeUndefined()
})

test('of two sessions with one lease the second ends when the first is closed', async () => {
  const first = await kv.session({ ttlMs: 3_000 })
  const second = await kv.session({ lease: first.lease })
  await first.close()
  await fired(second)
  expect(second.signal.reason).toMatchObject({ ...LOST, message: expect.stringContaining('revoked') })
  await second.close()
})

test('a signal that is aborted already opens no session and leaves no lease', async () => {
  const before = (await collected(other.leases())).length
  await expect(kv.session({ signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' })
  expect(await collected(other.leases())).toHaveLength(before)
})

test('a lease is shown with all its keys, however many', async () => {
  const { id } = await kv.grantLease({ ttlMs: 600_000 })
  const keys = Array.from({ length: 300 }, (_, i) => `many/${i + 1000}${'\u0001'.repeat(1000)}`)
  const puts = keys.map((key) => ({ put: { key, value: '', lease: id } }))
  for (let at = 0; at < puts.length; at += 100) await kv.txn({ success: puts.slice(at, at + 100) })
  const shown = await kv.lease(id, { keys: true })
  const names = shown?.keys?.map((key) => Buffer.from(key).toString()) ?? []
  // More than one slice: 256 KiB are read at a time.
  expect([names.length, names.every((name, at) => name === keys[at])]).toEqual([keys.length, true])
  expect(await kv.revokeLease(id)).toMatchObject({ deleted: keys.length })
})

test('the largest id and the longest time to live are taken, and a used id is refused', async () => {
  const id = String(2n ** 63n - 1n)
  const ttlMs = 3650 * 86_400_000
  expect(await kv.grantLease({ id, ttlMs })).toEqual({ id, ttlMs })
  await expect(kv.grantLease({ id, ttlMs })).rejects.toMatchObject({ code: 'lease_exists', written: 'no' })
  const session = await kv.session({ lease: id })
  expect(session.ttlMs).toBe(ttlMs)
  await session.put('long', '1')
  expect((await kv.get('long'))?.lease).toBe(id)
  await session.close()
  expect(await kv.get('long')).toBeUndefined()
})

test('sessions live on while each node in turn crashes, with keep-alives under way', async () => {
  const sessions = await Promise.all(Array.from({ length: 20 }, () => kv.session({ ttlMs: 15_000 })))
  await Promise.all(sessions.map((session, n) => session.put(`held/${n}`, '1')))
  let isOver = false
  const asking = (async () => {
    const ids = sessions.map(({ lease }) => lease)
    for (; !isOver; await sleep(2))
      for (const { ttlMs } of await kv.keepLeasesAlive(ids)) expect(ttlMs).toBe(15_000)
  })()
  for (const node of cluster.nodes) {
    await node.crash()
    await node.start()
  }
  isOver = true
  await asking
  expect(sessions.map(({ signal }) => signal.aborted)).not.toContain(true)
  expect(await kv.count({ prefix: 'held/' })).toBe(20)
  await Promise.all(sessions.map((session) => session.close()))
  expect(await kv.count({ prefix: 'held/' })).toBe(0)
})

test('without a leader for longer than the time to live the signal fires, and no lease has ended before', async () => {
  const session = await kv.session({ ttlMs: 1_000 })
  await session.put('alone', '1')
  cluster.partition(cluster.nodes.map(({ name }) => [name]))
  await fired(session)
  expect(session.leftMs).toBe(0)
  expect(session.signal.reason).toMatchObject({
    ...LOST,
    message: expect.stringContaining('no keep-alive'),
  })
  const stale = await kv.get('alone', { consistency: 'stale' })
  expect(stale?.lease).toBe(session.lease)
  cluster.heal()
  await until(hasEnded(session.lease))
  expect(await kv.get('alone')).toBeUndefined()
  await session.close()
})

test('a process that was stopped for longer than the time to live sees it before any timer has run', async () => {
  const library = new URL('../../src/client/index.ts', import.meta.url).href
  const holder = `
    const { readSync } = await import('node:fs')
    const { Client } = await import(${JSON.stringify(library)})
    const kv = new Client({ endpoints: ${JSON.stringify(cluster.endpoints)} })
    const session = await kv.session({ ttlMs: 3_000 })
    await session.put('stopped', '1')
    const before = session.leftMs > 0 && !session.signal.aborted
    console.log(session.lease)
    // No timer runs while this waits.
    readSync(0, Buffer.alloc(1))
    const { leftMs, signal } = session
    const unseen = !signal.aborted
    let code
    try { session.throwIfLost() } catch (error) { code = error.code }
    const seen = signal.aborted
    const put = await session.put('stopped', '2').catch((error) => error.code)
    console.log(JSON.stringify({ before, leftMs, unseen, code, seen, put }))
    await session.close()
    await kv.close()`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', holder], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  let out = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  try {
    await until(() => out.includes('\n') || child.exitCode !== null)
    child.kill('SIGSTOP')
    await until(hasEnded(out.trim()))
    child.kill('SIGCONT')
    child.stdin.end('x')
    expect(await exited).toEqual([0, null])
    expect(JSON.parse(out.trim().split('\n')[1] ?? '')).toEqual({
      before: true,
      leftMs: 0,
      unseen: true,
      code: 'session_lost',
      seen: true,
      put: 'session_lost',
    })
    expect(await other.get('stopped')).toBeUndefined()
  } finally {
    child.kill('SIGKILL')
  }
})
