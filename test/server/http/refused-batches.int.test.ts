// Batches whose conditions do not hold, as when an import that creates keys only runs again.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { expect, onTestFinished, test } from 'vitest'
import { startNode } from '../../../src/server/start-node.ts'

const CHANGES = 1000
const BATCHES = 64

/** Sends the same batch many times at once, from another thread. */
const CLIENTS = `
  const { parentPort, workerData } = require('node:worker_threads')
  parentPort.on('message', async ({ count, body }) => {
    const send = async () => {
      const answer = await fetch(workerData.url + '/v1/changes', {
        method: 'POST', body, headers: { 'content-type': 'application/json' },
      })
      await answer.arrayBuffer()
      return answer.status
    }
    parentPort.postMessage(await Promise.all(Array.from({ length: count }, send)))
  })
`

test('batches of 1,000 changes whose conditions fail are applied and answered several in one turn, for more than 100 ms', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'quorate-batches-'))
  const address = { host: '127.0.0.1', port: 0 }
  const founding = { kind: 'bootstrap' } as const
  const node = await startNode({ name: 'n1', dataDir: dir, listen: address, peerListen: address, founding })
  const clients = new Worker(CLIENTS, { eval: true, workerData: { url: node.url } })
  let isOver = false
  onTestFinished(async () => {
    isOver = true
    await clients.terminate()
    await node.stop()
    rmSync(dir, { recursive: true, force: true })
  })
  /** CPU time of this thread in its longest turn. */
  let longest = 0
  let before = process.threadCpuUsage()
  const turn = (): void => {
    const { user, system } = process.threadCpuUsage(before)
    longest = Math.max(longest, (user + system) / 1000)
    before = process.threadCpuUsage()
    if (!isOver) setImmediate(turn)
  }
  turn()
  const changes = Array.from({ length: CHANGES }, (_, at) => ({
    put: { key: `${at}`, value: '', if_none_match: '*' },
  }))
  const send = async (count: number): Promise<number> => {
    longest = 0
    const answered = new Promise<number[]>((done) => clients.once('message', done))
    clients.postMessage({ count, body: JSON.stringify({ changes }) })
    expect(new Set(await answered)).toEqual(new Set([200]))
    return longest
  }
  // Creates the keys; then the code is warm.
  for (const count of [1, 8, 8]) await send(count)
  const alone = await send(1)
  const turns = [await send(BATCHES), await send(BATCHES)]
  console.log(`one batch: ${alone} ms; ${BATCHES} at once: ${turns.join(' and ')} ms`)
  expect(Math.min(...turns)).toBeLessThan(100)
}, 120_000)
