// Transactions over a range whose keys were deleted lately, so that history still has them: a queue that has been
// worked off, or a cache that was cleared. Apply reads their rows, and everything else in the log waits.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { startNode } from '../../../src/server/start-node.ts'

/** A default history keeps 100,000 revisions, and more keys if ranges of them were deleted at once. */
const KEYS = 60_000
const TRANSACTIONS = 30

test(
  'transactions over a range of 60,000 deleted keys stop apply until puts, reads and keep-alives of others time out',
  async () => {
    const dir = mkdtempSync(join(tmpdir(), 'quorate-deleted-'))
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
    const key = (at: number): string => `queue/${String(at).padStart(8, '0')}`
    for (let at = 0; at < KEYS; at += 1000) {
      const changes = Array.from({ length: 1000 }, (_, i) => ({ put: { key: key(at + i), value: 'x' } }))
      expect(await call('POST', 'changes', { changes })).toBe(200)
    }
    for (let at = 0; at < KEYS; at += 10_000)
      expect(await call('DELETE', `kv?start=${key(at)}&end=${key(at + 10_000)}`)).toBe(200)

    const lease = { id: '7', ttl: '5s' }
    expect(await call('POST', 'leases', lease)).toBe(200)
    const txn = { success: [{ delete: { prefix: 'queue/' } }] }
    let began = performance.now()
    expect(await call('POST', 'txn', txn)).toBe(200)
    const one = performance.now() - began
    began = performance.now()
    const transactions = Promise.all(
      Array.from({ length: TRANSACTIONS }, () => call('POST', 'txn?timeout=60s', txn)),
    )
    await new Promise((done) => setTimeout(done, 100))
    const others = await Promise.all([
      call('PUT', 'kv/other', 1),
      call('GET', 'kv?prefix=other'),
      call('POST', `leases/${lease.id}/keepalive`, {}),
    ])
    const waited = performance.now() - began
    await transactions
    console.log(`one transaction: ${one} ms; others: ${others} after ${waited} ms`)
    expect(others).toEqual([200, 200, 200])
  },
  120_000,
)
