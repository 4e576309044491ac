// A migration of 100,000 keys from Debian's etcd and back, while clients write to the source, as in
// docs/coming-from/etcd.md. The process that migrates is killed in the middle of each copy, and started again.

import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished, test } from 'vitest'
import { positionKey } from '../../src/cli/migrate/position.ts'
import type { Client, KvRecord } from '../../src/client/index.ts'
import { startCluster } from '../../src/embed/index.ts'
import { RPC } from '../../src/etcd/rpcs.ts'
import { GrpcClient } from '../../src/etcd-client/grpc-client.ts'
import { EtcdClient, type EtcdClientOptions } from '../../src/etcd-client/index.ts'
import { asRequestOp } from '../../src/etcd-client/operations/transactions.ts'
import { kv, spawnKv, startKv } from '../cli/run-kv.ts'
import { authority, CertificateDirectory } from '../server/tls/certificates.ts'
import { type Etcd, startEtcd } from './etcd.ts'

const KEYS = 100_000
const LEASES = 50
const KEYS_OF_A_LEASE = 4
const VALUE_BYTES = 200
/** How long clients write after the copy. */
const FOLLOW_MS = 5_000
const WRITERS = 4
/** How long members of etcd crash. */
const CRASHES_MS = 30_000

async function fill(client: Client): Promise<void> {
  for (let at = 0; at < KEYS; at += 100) {
    const puts = Array.from({ length: 100 }, (_, n) => ({
      put: { key: `app/${((at + n) * 7919) % KEYS}`, value: `${at + n} `.padEnd(VALUE_BYTES, 'x') },
    }))
    await client.txn({ success: puts })
  }
}

/** Sessions at the source, each with a few keys. Their leases end within the test unless they are kept alive. */
async function openSessions(client: Client): Promise<AsyncDisposable> {
  const sessions = await Promise.all(Array.from({ length: LEASES }, () => client.session({ ttlMs: 20_000 })))
  for (const [at, session] of sessions.entries())
    for (let n = 0; n < KEYS_OF_A_LEASE; n++) await session.put(`lease/${at}/${n}`, 'held')
  return {
    async [Symbol.asyncDispose]() {
      await Promise.all(sessions.map((session) => session.close()))
    },
  }
}

/** Clients that put and delete keys until they are stopped. */
class Writers {
  writes = 0
  #isStopped = false
  readonly #running: Promise<void>[]

  constructor(client: Client) {
    this.#running = Array.from({ length: WRITERS }, (_, at) => this.#write(client, at))
  }

  async stop(): Promise<number> {
    this.#isStopped = true
    await Promise.all(this.#running)
    return this.writes
  }

  async #write(client: Client, writer: number): Promise<void> {
    for (let n = 0; !this.#isStopped; n++) {
      const key = `app/${(n * 104_729 + writer * 31) % KEYS}`
      if (n % 10 === 0) await client.delete(key)
      else if (n % 10 === 1)
        await client.txn({
          success: [{ put: { key, value: `t${n}` } }, { put: { key: `${key}/t`, value: `t${n}` } }],
        })
      else await client.put(key, `w${n}`)
      this.writes += 1
      await sleep(4)
    }
  }
}

interface Side {
  readonly client: Client
  readonly endpoints: readonly string[]
}

/** Runs `kv migrate --follow`, which is killed in the middle of the copy, and started again. */
async function migrate(direction: '--from' | '--to', etcd: Side, own: Side): Promise<string> {
  const [source, target] = direction === '--from' ? [etcd, own] : [own, etcd]
  const address = `etcd://${etcd.endpoints.map((url) => new URL(url).host).join()}`
  const start = () =>
    spawnKv(['migrate', direction, address, '--follow', '-o', 'json'], { endpoints: own.endpoints.join() })
  const sessions = await openSessions(source.client)
  const writers = new Writers(source.client)
  const startedAt = performance.now()
  const seconds = () => (performance.now() - startedAt) / 1_000
  const first = start()
  let copied = 0
  while (copied < KEYS / 3) {
    copied = Number(Object((await target.client.get(positionKey('')))?.json()).copied ?? 0)
    await sleep(20)
  }
  const killSeconds = seconds()
  first.kill('SIGKILL')
  await once(first, 'exit')
  const second = start()
  let [said, out] = ['', '']
  second.stdout.on('data', (chunk) => (out += chunk))
  second.stderr.on('data', (chunk) => (said += chunk))
  const ended = once(second, 'close')
  while (!said.includes('following the changes')) {
    if (second.exitCode !== null) throw new Error(said)
    await sleep(20)
  }
  const copySeconds = seconds()
  const copyProcessor = processorSeconds(second.pid)
  await sleep(FOLLOW_MS)
  const writes = await writers.stop()
  const stoppedAt = performance.now()
  const allProcessor = processorSeconds(second.pid)
  second.kill('SIGINT')
  const [code] = await ended
  expect(`${code} ${said}`).toContain('0 ')
  const result = JSON.parse(out)
  const endSeconds = (performance.now() - stoppedAt) / 1_000
  // The comparison of the test, beside that of the command.
  const [ours, theirs] = await Promise.all([readAll(source.client), readAll(target.client)])
  const different = [...new Set([...ours.keys(), ...theirs.keys()])].filter(
    (key) => ours.get(key) !== theirs.get(key),
  )
  await sessions[Symbol.asyncDispose]()
  expect([result.different, different]).toEqual([0, []])
  expect(result).toMatchObject({ keys: ours.size, leases: LEASES })
  expect(ours.size).toBeGreaterThan(KEYS * 0.9)
  const rate = (count: number, passed: number) => Math.round(count / passed)
  return [
    `${direction} etcd: ${ours.size} keys, ${result.leases} leases`,
    `killed after ${killSeconds.toFixed(1)} s with ${copied} keys copied`,
    `the others in ${(copySeconds - killSeconds).toFixed(1)} s (${rate(result.copied, copySeconds - killSeconds)} keys/s, processor ${copyProcessor} s)`,
    `${writes} writes at the source (${rate(writes, (stoppedAt - startedAt) / 1_000)}/s), ${result.changes} changes followed (processor ${(allProcessor - copyProcessor).toFixed(1)} s)`,
    `last changes and comparison in ${endSeconds.toFixed(1)} s, ${result.different} differ`,
  ].join('; ')
}

/** Processor time of a process of Linux, whose clock has 100 ticks a second. */
function processorSeconds(pid: number | undefined): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** The value and the lease of each key. */
async function readAll(client: Client): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  const shown = (record: KvRecord) => `${record.lease} ${record.text()}`
  for (const prefix of ['app/', 'lease/'])
    for await (const record of client.list({ prefix })) found.set(record.key, shown(record))
  return found
}

test('100,000 keys from etcd and back, under writes, with a crash in each copy', async () => {
  await using etcd = await startEtcd()
  await using cluster = await startCluster({ nodes: 1 })
  const open = (endpoints: readonly string[]): Side => ({
    client: new EtcdClient({ endpoints, timeoutMs: 60_000 }),
    endpoints,
  })
  const own = { client: cluster.client({ timeoutMs: 60_000 }), endpoints: cluster.endpoints }
  const from = open(etcd.endpoints)
  await fill(from.client)
  console.log(await migrate('--from', from, own))
  await using second = await startEtcd()
  const to = open(second.endpoints)
  console.log(await migrate('--to', to, own))
  await Promise.all([from.client.close(), to.client.close()])
}, 1_800_000)

/** Kills the members of etcd by turns, each for a moment, until it is stopped. */
async function crashByTurns({ members }: Etcd, isStopped: () => boolean): Promise<number> {
  let crashes = 0
  for (let at = 0; !isStopped(); at = (at + 1) % members.length) {
    await members[at]?.kill()
    crashes += 1
    await sleep(1_000)
    members[at]?.start()
    await sleep(3_000)
  }
  return crashes
}

test.each(['--from', '--to'] as const)(
  '%s three members of etcd, which crash by turns',
  async (direction) => {
    await using etcd = await startEtcd(3)
    await using cluster = await startCluster({ nodes: 1 })
    const members = new EtcdClient({ endpoints: etcd.endpoints, timeoutMs: 60_000 })
    const own = cluster.client({ timeoutMs: 60_000 })
    onTestFinished(() => members.close())
    await expect.poll(() => members.status().then(({ leader }) => leader)).toBeDefined()
    const source = direction === '--from' ? members : own
    for (let at = 0; at < 5_000; at += 100)
      await source.txn({
        success: Array.from({ length: 100 }, (_, n) => ({ put: { key: `f/${at + n}`, value: `${at}` } })),
      })
    let isStopped = false
    const crashing = crashByTurns(etcd, () => isStopped)
    const address = `etcd://${etcd.endpoints.map((url) => new URL(url).host).join()}`
    const running = startKv(['migrate', direction, address, '--follow', '-o', 'json'], {
      endpoints: cluster.endpoints.join(),
    })
    let writes = 0
    const until = performance.now() + CRASHES_MS
    while (performance.now() < until) {
      // Each write is the same twice.
      await source.put(`f/w${writes % 500}`, String(writes)).catch(() => {})
      writes += 1
    }
    isStopped = true
    const crashes = await crashing
    await running.printed('caught up')
    running.signal('SIGINT')
    const { code, out, err } = await running.ended
    expect([code, err]).toEqual([0, expect.stringContaining('following')])
    // A busy machine makes fewer of the writes.
    const count = await source.count({ prefix: 'f/' })
    expect(count).toBeGreaterThan(5_000)
    expect(JSON.parse(out)).toMatchObject({ different: 0, keys: count })
    console.log(
      `${direction} etcd: ${crashes} crashes, ${writes} writes, ${JSON.parse(out).changes} changes followed`,
    )
  },
)

describe('with one etcd,', () => {
  const runIn = (own: readonly string[], ...args: string[]) =>
    kv(['migrate', ...args], { endpoints: own.join(), env: { KV_ETCD_PASSWORD: 'secret' } })
  const address = ({ endpoints: [url = ''] }: { readonly endpoints: readonly string[] }) =>
    url.replace('http', 'etcd')

  function open(endpoints: readonly string[], options: Partial<EtcdClientOptions> = {}): EtcdClient {
    const client = new EtcdClient({ endpoints, timeoutMs: 60_000, ...options })
    onTestFinished(() => client.close())
    return client
  }

  it('certificates and users are used', async () => {
    using directory = new CertificateDirectory()
    const ca = authority()
    const [own, client] = [directory.pair('etcd', ca.node('etcd')), directory.pair('ann', ca.client('ann'))]
    const cacert = directory.write('ca.crt', ca.cert)
    const args = [
      '--cert-file',
      own.cert,
      '--key-file',
      own.key,
      '--client-cert-auth',
      '--trusted-ca-file',
      cacert,
    ]
    await using etcd = await startEtcd(1, { args, isSecure: true })
    await using cluster = await startCluster({ nodes: 1 })
    const tls = { ca: ca.cert, ...ca.client('ann') }
    const client2379 = open(etcd.endpoints, { tls })
    await client2379.put('own/a', '1')
    for (const command of [
      'user add root:root',
      'role add root',
      'user grant-role root root',
      'user add bob:secret',
      'role add own',
      'role grant-permission own read own/ own0',
      'user grant-role bob own',
      'auth enable',
    ])
      expect(
        spawnSync(
          'etcdctl',
          [
            `--endpoints=${etcd.endpoints}`,
            `--cacert=${cacert}`,
            `--cert=${client.cert}`,
            `--key=${client.key}`,
            ...command.split(' '),
          ],
          { env: { ...process.env, ETCDCTL_API: '3' } },
        ).status,
      ).toBe(0)
    const from = ['--from', address(etcd), '--prefix', 'own/', '--etcd-user', 'bob']
    const files = ['--etcd-cacert', cacert, '--etcd-cert', client.cert, '--etcd-key', client.key]
    expect(await runIn(cluster.endpoints, ...from, ...files)).toMatchObject({
      code: 0,
      err: expect.stringContaining('the same 1 key,'),
    })
    expect(await runIn(cluster.endpoints, ...from)).toMatchObject({
      code: 8,
      err: expect.stringContaining('not signed by a CA'),
    })
    const others = ['--from', address(etcd), '--prefix', 'other/', '--etcd-user', 'bob', ...files]
    expect(await runIn(cluster.endpoints, ...others)).toMatchObject({
      code: 8,
      err: expect.stringContaining('etcdctl role grant-permission'),
    })
  })

  it('limits of its requests are found before the first key is copied, and those of transactions are kept', async () => {
    await using etcd = await startEtcd(1, { args: ['--max-request-bytes', '100000', '--max-txn-ops', '16'] })
    await using cluster = await startCluster({ nodes: 1 })
    const own = cluster.client()
    for (let n = 0; n < 200; n++) await own.put(`many/${n}`, String(n))
    await own.put('large/a', 'x'.repeat(200_000))
    const refused = await runIn(cluster.endpoints, '--to', address(etcd))
    expect(refused).toMatchObject({ code: 1, err: expect.stringContaining('--max-request-bytes') })
    expect(await open(etcd.endpoints).count()).toBe(0)
    await own.delete('large/a')
    expect(await runIn(cluster.endpoints, '--to', address(etcd))).toMatchObject({ code: 0 })
    // More than a transaction has.
    await own.deleteRange({ prefix: 'many/1' })
    expect(await runIn(cluster.endpoints, '--to', address(etcd))).toMatchObject({
      code: 0,
      err: expect.stringMatching(
        /revision \d+ has 111 changes, too many.*\n(.*\n)*both sides have the same 89 keys/,
      ),
    })
  })

  it('what quorate does not have is followed, or named', async () => {
    await using etcd = await startEtcd()
    await using cluster = await startCluster({ nodes: 1 })
    const raw = new GrpcClient({ endpoint: etcd.endpoints[0] ?? '' })
    onTestFinished(() => raw.close())
    const from = open(etcd.endpoints)
    for (const key of ['a', 'b']) await from.put(key, '1')
    const run = () => runIn(cluster.endpoints, '--from', address(etcd))
    expect(await run()).toMatchObject({ code: 0 })
    // One revision deletes a key and puts it.
    const [key, rangeEnd, value] = [Buffer.from('a'), Uint8Array.of(0), Buffer.from('2')]
    const success = [
      asRequestOp({ requestDeleteRange: { key, rangeEnd } }),
      asRequestOp({ requestPut: { key, value } }),
    ]
    await raw.unary(RPC.txn, { success })
    expect(await run()).toMatchObject({ code: 0, err: expect.stringContaining('the same 1 key') })
    await raw.unary(RPC.leaseGrant, { id: -7n, ttl: 60 })
    await raw.unary(RPC.put, { key, value, lease: -7n })
    const named = { code: 1, err: expect.stringContaining('the lease of a has the id -7') }
    expect(await run()).toMatchObject(named)
    expect(await run()).toMatchObject(named)
    expect((await cluster.client().get('a'))?.text()).toBe('2')
  })

  it('values of 1.4 MB go both ways', async () => {
    await using etcd = await startEtcd()
    await using back = await startEtcd()
    await using cluster = await startCluster({ nodes: 1 })
    const from = open(etcd.endpoints)
    for (let n = 0; n < 5; n++) await from.put(`v/${n}`, Buffer.alloc(1_400_000, n))
    const own = cluster.client()
    await own.changeSettings({ value_bytes_max: 1 << 20 })
    const refused = await runIn(cluster.endpoints, '--from', address(etcd))
    expect(refused).toMatchObject({
      code: 1,
      err: expect.stringContaining('settings set value_bytes_max=1400000'),
    })
    await own.changeSettings({ value_bytes_max: 1_400_000 })
    expect(await runIn(cluster.endpoints, '--from', address(etcd))).toMatchObject({ code: 0 })
    expect(await runIn(cluster.endpoints, '--to', address(back))).toMatchObject({ code: 0 })
    expect((await open(back.endpoints).get('v/3'))?.value).toEqual(new Uint8Array(1_400_000).fill(3))
  })

  it('compaction is survived, and short leases stay alive', async () => {
    await using etcd = await startEtcd()
    await using cluster = await startCluster({ nodes: 1 })
    const from = open(etcd.endpoints)
    const own = cluster.client()
    for (let n = 0; n < 500; n++) await from.put(`c/${n}`, String(n))
    await using session = await from.session({ ttlMs: 1_000 })
    await session.put('c/held', '1')
    const running = startKv(['migrate', '--from', address(etcd), '--follow'], {
      endpoints: cluster.endpoints.join(),
    })
    await running.printed('Ctrl-C ends it')
    await sleep(6_000)
    expect(await own.get('c/held')).toMatchObject({ lease: session.lease, version: 1 })
    running.signal('SIGTERM')
    expect(await running.ended).toMatchObject({ code: 0 })
    await from.deleteRange({ prefix: 'c/1' })
    const { revision } = await from.put('c/2', 'new')
    await from.compact(revision)
    // The lease has ended in the target.
    await expect.poll(() => own.get('c/held')).toBeUndefined()
    const again = await runIn(cluster.endpoints, '--from', address(etcd))
    expect(again).toMatchObject({ code: 0, err: expect.stringContaining('has compacted') })
    expect(again.err).toContain('the same 390 keys and 1 lease')
    expect(await own.get('c/held')).toMatchObject({ lease: session.lease })
    // Nothing changes, and the revision of the position is compacted too.
    await from.put('elsewhere', '1')
    await from.compact((await from.put('elsewhere', '2')).revision)
    expect(await runIn(cluster.endpoints, '--from', address(etcd))).toMatchObject({ code: 0 })
  })
})
