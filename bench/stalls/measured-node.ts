// A node that measures its longest turn of the event loop. Arguments: directory, name, port, peer port, and the URL of
// a node to join.

import { performance } from 'node:perf_hooks'
import { startNode } from '../../src/server/start/start-node.ts'

/** Interval between samples of the loop. A longer turn is seen as a whole. */
const TICK_MS = 1

const [dataDir = '', name = '', port, peerPort, joinUrl] = process.argv.slice(2)

const host = '127.0.0.1'
const node = await startNode({
  name,
  dataDir,
  listen: { host, port: Number(port) },
  peerListen: { host, port: Number(peerPort) },
  founding: joinUrl === undefined ? { kind: 'bootstrap' } : { kind: 'join', urls: [joinUrl], replace: false },
  logger: {
    debug() {},
    info() {},
    warn() {},
    error: (fields, message) => console.error(name, message, fields),
  },
})

/** CPU time of this thread in milliseconds. */
const cpuMs = (): number => {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

let [lastMs, lastCpuMs] = [performance.now(), cpuMs()]
let longest = { ms: 0, cpuMs: 0 }

setInterval(() => {
  const [now, cpu] = [performance.now(), cpuMs()]
  const turn = { ms: now - lastMs - TICK_MS, cpuMs: cpu - lastCpuMs }
  if (turn.cpuMs > longest.cpuMs) longest = turn
  lastMs = now
  lastCpuMs = cpu
}, TICK_MS)

process.on('message', (message) => {
  if (message === 'longest') process.send?.({ longest, rssMb: process.memoryUsage.rss() / 1e6 })
  longest = { ms: 0, cpuMs: 0 }
})
process.on('disconnect', () => process.exit())
void node.ended.then((end) => {
  console.error(name, 'ended', end)
  process.exit(1)
})
process.send?.('ready')
