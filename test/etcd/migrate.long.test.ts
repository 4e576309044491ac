// A migration of 100,000 keys from Debian's etcd and back, while clients write to the source, as in
// docs/coming-from/etcd.md. The process that migrates is killed in the middle of each copy, and started again.

import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { Client, KvRecord } from '../../src/client/index.ts'
import { startCluster } from '../../src/embed/index.ts'
import { EtcdClient } from '../../src/etcd-client/index.ts'
import { spawnKv } from '../cli/run-kv.ts'
import { startEtcd } from './etcd.ts'

const KEYS = 100_000
const LEASES = 50
const KEYS_OF_A_LEASE = 4
const VALUE_BYTES = 200
/** How long clients write after the copy. */
const FOLLOW_MS = 5_000
const WRITERS = 4

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
    copied = await target.client.count({ prefix: 'app/' })
    await sleep(20)
  }
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
  await sleep(FOLLOW_MS)
  const writes = await writers.stop()
  const stoppedAt = performance.now()
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
  return (
    `${direction} etcd: killed at ${copied} keys; ${ours.size} keys, ${result.leases} leases, ${writes} writes at the ` +
    `source (${Math.round((writes / (stoppedAt - startedAt)) * 1_000)}/s); copy ${copySeconds.toFixed(1)} s ` +
    `(${Math.round(KEYS / copySeconds)} keys/s); ${result.changes} changes followed; last changes and comparison ` +
    `${endSeconds.toFixed(1)} s; ${result.different} differ`
  )
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
})
