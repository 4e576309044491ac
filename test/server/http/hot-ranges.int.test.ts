// Ranges whose keys are written again and again, such as the states of a thousand instances. History keeps 100,000
// revisions by default: a hundred versions of each. That is less than 30 puts a second, for an hour.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { startNode } from '../../../src/server/start-node.ts'

const KEYS = 1000
const VERSIONS = 100
const LISTS = 20
const TRANSACTIONS = 20

test('a list of 1,000 keys with 100 versions each reads all versions: 20 lists at once time out, and 20 transactions stop apply', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'quorate-hot-'))
  const address = { host: '127.0.0.1', port: 0 }
  const founding = { kind: 'bootstrap' } as const
  const node = await startNode({ name: 'n1', dataDir: dir, listen: address, peerListen: address, founding })
  onTestFinished(async () => {
    await node.stop()
    rmSync(dir, { recursive: true, force: true })
  })
  const call = async (method: string, path: string, json?: unknown): Promise<number> => {
    const body = json === undefined ? null : JSON.stringify(json)
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(`${node.url}/v1/${path}`, { method, body, headers })
    await answer.arrayBuffer()
    return answer.status
  }
  const changes = Array.from({ length: KEYS }, (_, at) => ({ put: { key: `state/${at}`, value: 'x' } }))
  const cpuMsOfList = async (): Promise<number> => {
    const before = process.threadCpuUsage()
    expect(await call('GET', 'kv?prefix=state/')).toBe(200)
    const { user, system } = process.threadCpuUsage(before)
    return Math.round((user + system) / 1000)
  }
  const all = (count: number, one: () => Promise<number>): Promise<number[]> =>
    Promise.all(Array.from({ length: count }, one))

  const cpuMs: number[] = []
  for (let version = 1; version <= VERSIONS; version++) {
    expect(await call('POST', 'changes', { changes })).toBe(200)
    if (version === 1 || version === VERSIONS) cpuMs.push(await cpuMsOfList())
  }
  const lists = await all(LISTS, () => call('GET', 'kv?prefix=state/'))
  const compare = [{ prefix: 'state/', target: 'version', op: '>', to: 0 }]
  const txn = { compare, success: [{ put: { key: 'done', value: 'x' } }] }
  const transactions = all(TRANSACTIONS, () => call('POST', 'txn?timeout=60s', txn))
  await new Promise((done) => setTimeout(done, 100))
  const put = await call('PUT', 'kv/other', 1)
  await transactions
  console.log(`CPU of a list: ${cpuMs.join(', then ')} ms; lists: ${[...new Set(lists)]}; a put: ${put}`)
  expect.soft(new Set(lists)).toEqual(new Set([200]))
  expect.soft(put).toBe(200)
}, 120_000)
