// One change that each of many connections watches, as when every instance of a fleet watches one configuration.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { expect, onTestFinished, test } from 'vitest'
import { httpLimits } from '../../../src/server/http/limits.ts'
import { driverLimits } from '../../../src/server/node/limits.ts'
import type { ServingNode } from '../../../src/server/node/types.ts'
import { startNode } from '../../../src/server/start-node.ts'

const MiB = 2 ** 20

/** Opens connections, each with a watch of one key. */
const CLIENTS = `
  const { parentPort, workerData } = require('node:worker_threads')
  const { WebSocket } = require('ws')
  const { Packr } = require('msgpackr')
  const packr = new Packr({ useRecords: false })
  let opened = 0
  const open = () => {
    if (opened++ >= workerData.count) return
    const ws = new WebSocket(workerData.url, ['quorate.v1'], { perMessageDeflate: false })
    ws.on('open', () => {
      ws.send(packr.pack([[1, 16, null, { key: 'config' }]]))
      if (workerData.areSlow) setTimeout(() => ws.pause(), 100)
      open()
    })
    ws.on('error', (error) => parentPort.postMessage(String(error)))
  }
  for (let i = 0; i < 20; i++) open()
  // Paused sockets do not keep a thread alive.
  setInterval(() => {}, 1000)
`

async function watched(count: number, areSlow: boolean): Promise<ServingNode> {
  const dir = mkdtempSync(join(tmpdir(), 'quorate-fan-out-'))
  const address = { host: '127.0.0.1', port: 0 }
  const node = await startNode({
    name: 'n1',
    dataDir: dir,
    listen: address,
    peerListen: address,
    founding: { kind: 'bootstrap' },
  })
  const url = `${node.url.replace('http', 'ws')}/v1/connect`
  const worker = new Worker(CLIENTS, { eval: true, workerData: { url, count, areSlow } })
  onTestFinished(async () => {
    await worker.terminate()
    await node.stop()
    rmSync(dir, { recursive: true, force: true })
  })
  while (node.inspect()['watches.open'] !== count) await pause(20)
  return node
}

const put = (node: ServingNode, bytes: number): Promise<number> =>
  fetch(`${node.url}/v1/kv/config`, { method: 'PUT', body: Buffer.alloc(bytes, 'x') }).then(
    ({ status }) => status,
  )

/** CPU time of this thread in its longest turn until nothing more happens. */
async function longestTurnMs(act: () => Promise<unknown>): Promise<number> {
  let longest = 0
  let isOver = false
  let before = process.threadCpuUsage()
  const turn = (): void => {
    const { user, system } = process.threadCpuUsage(before)
    longest = Math.max(longest, (user + system) / 1000)
    before = process.threadCpuUsage()
    if (!isOver) setImmediate(turn)
  }
  setImmediate(turn)
  await act()
  await pause(1000)
  isOver = true
  return longest
}

test('a put of 1 MiB that 500 connections watch is packed and written for all of them in one turn', async () => {
  const node = await watched(500, false)
  await put(node, 10)
  const longest = await longestTurnMs(() => put(node, MiB))
  console.log(`longest turn: ${longest} ms`)
  expect(longest).toBeLessThan(100)
}, 120_000)

test('puts of 1 MiB that 400 slow connections watch take memory for each of them, whatever the limit for all, and the node refuses every put', async () => {
  const node = await watched(400, true)
  await pause(500)
  const before = process.memoryUsage().arrayBuffers
  const statuses: number[] = []
  let [watchBytes, memory] = [0, 0]
  // The first ones go into the buffers of the kernel.
  for (let n = 0; n < 8; n++) {
    statuses.push(await put(node, MiB))
    await pause(100)
    watchBytes = Math.max(watchBytes, node.inspect()['http.watchBytes'] ?? 0)
    memory = Math.max(memory, process.memoryUsage().arrayBuffers - before)
  }
  console.log(`bytes for watches: ${watchBytes / MiB} MiB, memory: ${memory / MiB} MiB, puts: ${statuses}`)
  expect.soft(watchBytes).toBeLessThan(httpLimits.watchBuffersBytesMax + driverLimits.watchMessageBytesMax)
  expect.soft(memory).toBeLessThan(256 * MiB)
  expect.soft(new Set(statuses)).toEqual(new Set([200]))
}, 120_000)
