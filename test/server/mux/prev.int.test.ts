// Changes with `prev` of large values, many in one message: the client library sends the calls of one turn together.

import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { expect, onTestFinished, test } from 'vitest'
import { startNode } from '../../../src/server/start-node.ts'

const KEYS = 128
const MiB = 2 ** 20

const CLIENT = `
  const { parentPort, workerData } = require('node:worker_threads')
  const { WebSocket } = require('ws')
  const { Packr, Unpackr } = require('msgpackr')
  const packr = new Packr({ useRecords: false })
  const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number' })
  const ws = new WebSocket(workerData.url, ['quorate.v1'], { perMessageDeflate: false })
  let left = 0
  ws.on('open', () => parentPort.postMessage('open'))
  ws.on('message', (data) => {
    for (const [id] of unpackr.unpack(data)) if (id > 0 && --left === 0) parentPort.postMessage('answered')
  })
  let id = 0
  parentPort.on('message', (items) => {
    left = items.length
    ws.send(packr.pack(items.map((fields) => [++id, ...fields])))
  })
`

test('conditional puts with prev of values of 1 MiB read all of them in one turn, for more than 100 ms, to reserve room', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'quorate-prev-'))
  const address = { host: '127.0.0.1', port: 0 }
  const founding = { kind: 'bootstrap' } as const
  const node = await startNode({ name: 'n1', dataDir: dir, listen: address, peerListen: address, founding })
  const url = `${node.url.replace('http', 'ws')}/v1/connect`
  const client = new Worker(CLIENT, { eval: true, workerData: { url } })
  let isOver = false
  onTestFinished(async () => {
    isOver = true
    await client.terminate()
    await node.stop()
    rmSync(dir, { recursive: true, force: true })
  })
  await new Promise((done) => client.once('message', done))
  const value = randomBytes(MiB - 1)
  for (let at = 0; at < KEYS; at++) {
    const { status } = await fetch(`${node.url}/v1/kv/doc${at}`, { method: 'PUT', body: value })
    expect(status).toBe(200)
  }
  let longest = 0
  let before = process.threadCpuUsage()
  const turn = (): void => {
    const { user, system } = process.threadCpuUsage(before)
    longest = Math.max(longest, (user + system) / 1000)
    before = process.threadCpuUsage()
    if (!isOver) setImmediate(turn)
  }
  turn()
  const turns: number[] = []
  for (let round = 0; round < 4; round++) {
    longest = 0
    const answered = new Promise((done) => client.once('message', done))
    const options = { prev: true, if_match: [1] }
    client.postMessage(Array.from({ length: KEYS }, (_, at) => [1, null, `doc${at}`, 'x', null, options]))
    await answered
    turns.push(longest)
  }
  console.log(`longest turns: ${turns.join(', ')} ms`)
  expect(Math.max(...turns)).toBeLessThan(100)
}, 120_000)
