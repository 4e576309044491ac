// The client and the command against real nodes, to check the assumptions of the fake node in the other tests.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { inspect } from '../../src/client/client.ts'
import { Client, type KvRecord } from '../../src/client/index.ts'
import { type EmbeddedCluster, startCluster } from '../../src/index.ts'
import { kv as run } from '../cli/run-kv.ts'

let cluster: EmbeddedCluster
let kv: Client
let scratch: string

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'quorate-client-'))
  cluster = await startCluster({ nodes: 3 })
  kv = new Client({ endpoints: cluster.endpoints.slice(0, 1) })
})

afterAll(async () => {
  await kv.close()
  await cluster.close()
  rmSync(scratch, { recursive: true, force: true })
})

const shell = (...args: string[]) => run(args, { endpoints: cluster.endpoints.join(','), cwd: scratch })

async function all(records: AsyncIterable<KvRecord>): Promise<KvRecord[]> {
  const found = []
  for await (const record of records) found.push(record)
  return found
}

test('lists: by page and as one snapshot the same records, in the order of their bytes', async () => {
  const keys = Array.from({ length: 1_100 }, (_, n) => Buffer.from([0x6c, n >> 8, n & 0xff]))
  const puts = keys.map((key) => ({ put: { key, value: key } }))
  for (let at = 0; at < puts.length; at += 100) await kv.txn({ success: puts.slice(at, at + 100) })
  for (const snapshot of [false, true]) {
    const records = await all(kv.list({ prefix: 'l', snapshot }))
    expect(records.map((record) => Buffer.from(record.keyBytes))).toEqual(keys)
    expect(records.every((record) => Buffer.from(record.value).equals(record.keyBytes))).toBe(true)
    const last = await all(kv.list({ prefix: 'l', snapshot, order: 'desc', limit: 2, keysOnly: true }))
    expect(last.map((record) => Buffer.from(record.keyBytes))).toEqual(keys.slice(-2).reverse())
  }
  expect(await kv.count({ prefix: 'l' })).toBe(1_100)
})

test('stale reads tell their age, and the cluster tells about itself', async () => {
  await kv.put('known', 'v')
  const answers: unknown[] = []
  await kv.get('known', { consistency: 'stale', onAnswer: (info) => answers.push(info) })
  expect(answers).toMatchObject([
    { node: expect.any(String), consistency: 'stale', stalenessMs: expect.any(Number) },
  ])
  expect([...kv.endpoints].sort()).toEqual([...cluster.endpoints].sort())

  const to = cluster.nodes.find((node) => node.name !== cluster.leader()?.name)
  expect(await kv.transferLeader(to?.name)).toBe(to?.name)
  const { members, leader } = await kv.cluster({ endpoint: to?.url })
  expect(leader).toBe(to?.name)
  expect(members.map(({ name, role }) => `${name} ${role}`).sort()).toEqual([
    'n1 voter',
    'n2 voter',
    'n3 voter',
  ])
  expect(members.every((member) => typeof member.matchIndex === 'number')).toBe(true)
  expect(await kv.status({ endpoint: to?.url })).toMatchObject({ name: to?.name, role: 'leader', errors: [] })

  const settings = await kv.changeSettings({ value_bytes_max: 2_000, leases: { on: true } })
  expect(settings).toMatchObject({ value_bytes_max: 2_000, leases: { on: true } })
  const tooLarge = await kv.put('large', Buffer.alloc(2_001)).catch((reason: unknown) => reason)
  expect(tooLarge).toMatchObject({ code: 'value_too_large', written: 'no' })
  await kv.changeSettings({ value_bytes_max: 1_048_576, leases: { on: false } })
})

test('reads never go back in time, whichever node answers', async () => {
  for (let n = 1; n <= 10; n++) {
    const { modRevision } = await kv.put('counter', String(n))
    const read = async () => (await kv.get('counter', { consistency: 'stale' }))?.modRevision
    expect(await Promise.all([read(), read(), read()])).toEqual([modRevision, modRevision, modRevision])
  }
})

/** How many batches the nodes have answered. */
async function batches(): Promise<number> {
  const counts = await Promise.all(
    cluster.nodes.map(async ({ url, running }) => {
      const text = running ? await (await fetch(`${url}/metrics`)).text() : ''
      const counted = text.matchAll(/^quorate_http_requests_total\{operation="batch",status="200"\} (\d+)$/gm)
      return [...counted].reduce((sum, [, count]) => sum + Number(count), 0)
    }),
  )
  return counts.reduce((sum, count) => sum + count, 0)
}

test('a leader that is lost while changes go together is a delay, and nothing is made twice', async () => {
  const before = await batches()
  let done = 0
  let isLost = false
  const writers = Array.from({ length: 8 }, async (_, writer) => {
    const keys = Array.from({ length: 16 }, (_each, at) => `lost/${writer}/${at}`)
    let rounds = 0
    while (rounds < 10 || !isLost) {
      const results = await Promise.all(keys.map((key) => kv.put(key, `${rounds}`, { timeoutMs: 30_000 })))
      rounds += 1
      expect(results.map(({ version }) => version)).toEqual(keys.map(() => rounds))
      done += 1
    }
    return Array<number>(keys.length).fill(rounds)
  })
  // While a connection is set up, each change is sent by itself.
  while (done < 20 || (await batches()) === before) await kv.get('a')
  const leader = cluster.leader()
  await leader?.crash()
  isLost = true
  const rounds = await Promise.all(writers)
  await leader?.start()
  const records = await all(kv.list({ prefix: 'lost/' }))
  expect(records.map(({ version }) => version)).toEqual(rounds.flat())
  await expect.poll(() => kv[inspect]()).toMatchObject({ calls: 0, permits: 0, requests: 0 })
})

test('the command: import, export, and messages of a real node', async () => {
  mkdirSync(join(scratch, 'in/deep'), { recursive: true })
  for (let n = 0; n < 20; n++) writeFileSync(join(scratch, 'in', `${n}`), Buffer.alloc(n * 500, n))
  writeFileSync(join(scratch, 'in/deep/large'), Buffer.alloc(1_048_577))
  symlinkSync('0', join(scratch, 'in/link'))
  const imported = await shell('import', 'in', '--prefix', 'files/', '--timeout', '60s')
  expect(imported.code).toBe(0)
  expect(imported.err).toContain('imported 20 keys')
  expect(imported.err).toContain('2 skipped')
  expect(await shell('export', 'files/', '--dir', 'out', '--strip-prefix', 'files/')).toMatchObject({
    code: 0,
  })
  for (let n = 0; n < 20; n++)
    expect(readFileSync(join(scratch, 'out', `${n}`)).equals(Buffer.alloc(n * 500, n))).toBe(true)
  const lines = await shell('export', 'files/')
  expect(JSON.parse(lines.out.trimEnd().split('\n').at(-1) ?? '')).toMatchObject({ end: true, count: 20 })
  expect((await shell('ls', 'files/', '--count')).out).toBe('20\n')
  expect(await shell('get', 'nothing')).toMatchObject({ code: 3, err: 'error: there is no key nothing\n' })
  expect(await shell('put', 'files/1', 'x', '--if-absent')).toMatchObject({ code: 4 })
})
