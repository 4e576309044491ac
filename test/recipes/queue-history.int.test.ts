// A queue that has been in use for an hour. History keeps what its consumers have deleted: 100,000 revisions by default,
// of which each item takes three (pushed, taken, acknowledged). Here 40 items share a revision, to be quick.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { Client } from '../../src/client/index.ts'
import { queue } from '../../src/recipes/queue.ts'
import { startNode } from '../../src/server/start-node.ts'

const ITEMS = 30_000
const AT_ONCE = 40

test('after 30,000 items, each pop reads the rows of all of them: a queue yields less than two items a second', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'quorate-queue-'))
  const address = { host: '127.0.0.1', port: 0 }
  const founding = { kind: 'bootstrap' } as const
  const node = await startNode({ name: 'n1', dataDir: dir, listen: address, peerListen: address, founding })
  const client = new Client({ endpoints: [node.url] })
  onTestFinished(async () => {
    await client.close()
    await node.stop()
    rmSync(dir, { recursive: true, force: true })
  })
  const jobs = queue(client, 'jobs')
  const popped = async (count: number): Promise<number> => {
    for (let n = 0; n < count; n++) await jobs.push(`job ${n}`)
    const began = performance.now()
    for (let n = 0; n < count; n++) await (await jobs.pop())?.ack()
    return (performance.now() - began) / count
  }
  await popped(5)
  const before = await popped(5)

  const batches: Promise<unknown>[] = []
  for (let first = 0; first < ITEMS; first += AT_ONCE) {
    const ids = Array.from({ length: AT_ONCE }, (_, at) => `999-${String(first + at).padStart(16, '0')}`)
    const key = (part: string, id: string): string => `queue/jobs/${part}/${id}`
    const put = (part: string) => ids.map((id) => ({ put: { key: key(part, id), value: '{"attempts":0}' } }))
    const remove = (part: string) => ids.map((id) => ({ delete: { key: key(part, id) } }))
    const lived = async (): Promise<void> => {
      await client.txn({ success: [...put('item'), ...put('value')] })
      await client.txn({ success: [...put('item'), ...put('hold')] })
      await client.txn({ success: [...remove('item'), ...remove('hold'), ...remove('value')] })
    }
    batches.push(lived())
    if (batches.length % 8 === 0) await Promise.all(batches)
  }
  await Promise.all(batches)
  const after = await popped(5)
  console.log(`an item takes ${before} ms, and ${after} ms after ${ITEMS} items`)
  expect(after).toBeLessThan(100)
}, 200_000)
