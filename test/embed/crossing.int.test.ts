// Starts that fail, and requests to a node during others. The last request decides, and nothing is left behind.

import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startCluster } from '../../src/index.ts'
import { freePorts } from '../local/kv.ts'

const usual = process.env.TMPDIR
const place = mkdtempSync(join(tmpdir(), 'quorate-crossing-'))
beforeAll(() => {
  process.env.TMPDIR = place
})
afterAll(() => {
  process.env.TMPDIR = usual ?? ''
  rmSync(place, { recursive: true, force: true })
})

/** Ports that are in use, each by a server that can free it. */
async function ports(count: number) {
  const first = await freePorts(count)
  const servers = new Map<number, Server>()
  for (let port = first; port < first + count; port++) servers.set(port, createServer())
  const free = (port: number) => new Promise<void>((resolve) => servers.get(port)?.close(() => resolve()))
  const take = (port: number) =>
    new Promise<void>((resolve) => servers.get(port)?.listen(port, '127.0.0.1', resolve))
  for (const port of servers.keys()) await take(port)
  return { numbers: [...servers.keys()], free, take }
}

test('a taken port of any node: nothing is left behind, and the next start works', async () => {
  const { numbers, free, take } = await ports(3)
  const dataDir = join(place, 'kept')
  for (const taken of numbers) {
    const others = numbers.filter((port) => port !== taken)
    for (const port of others) await free(port)
    for (const where of [{}, { dataDir }]) {
      await expect(startCluster({ ports: numbers, ...where })).rejects.toThrow(String(taken))
      for (const port of others) await expect(fetch(`http://127.0.0.1:${port}/livez`)).rejects.toThrow()
      // Nothing is formatted before the ports are known to be free.
      expect(readdirSync(place)).toEqual([])
    }
    await free(taken)
    for (const port of numbers) await take(port)
  }
  for (const port of numbers) await free(port)
  const cluster = await startCluster({ ports: numbers, dataDir })
  await cluster.client().put('a', '1')
  await cluster.close()
  rmSync(dataDir, { recursive: true })
})

test('a cluster that is not ready in time is given up, and nothing is left behind', async () => {
  await expect(startCluster({ nodes: 2, readyTimeoutMs: Number.MIN_VALUE })).rejects.toThrow(
    'is not ready after',
  )
  expect(readdirSync(place)).toEqual([])
})

test('close() while a node starts: it does not run afterwards', async () => {
  const cluster = await startCluster({ nodes: 3 })
  const node = cluster.node('n2')
  await node.crash()
  const [first, second] = [node.start(), node.start()]
  await cluster.close()
  await Promise.allSettled([first, second])
  expect(cluster.nodes.map(({ running }) => running)).toEqual([false, false, false])
  await expect(fetch(`${node.url}/livez`)).rejects.toThrow()
  await expect(node.start()).rejects.toThrow('the cluster is closed')
  expect(() => cluster.client()).toThrow('the cluster is closed')
  await node.crash()
  await node.stop()
  await cluster.close()
  expect(readdirSync(place)).toEqual([])
})

test('whatever crosses: what was asked last is so in the end', async () => {
  // Outside of the range of outgoing connections: one of them could take the port while the node is stopped.
  const ports = [await freePorts(1)]
  await using cluster = await startCluster({ ports, timing: { electionMinMs: 150, electionMaxMs: 300 } })
  const node = cluster.node('n1')
  const kv = cluster.client()
  const what = fc.constantFrom('start', 'stop', 'crash')
  const asked = fc.array(fc.record({ what, isWaitedFor: fc.boolean() }), { minLength: 1, maxLength: 6 })
  await fc.assert(
    fc.asyncProperty(asked, async (steps) => {
      const done = []
      for (const { what, isWaitedFor } of steps) {
        const step = node[what as 'start' | 'stop' | 'crash']()
        done.push(step)
        if (isWaitedFor) await step
      }
      await Promise.all(done)
      expect(node.running).toBe(steps.at(-1)?.what === 'start')
      if (node.running) await kv.put('a', '1', { timeoutMs: 20_000 })
      else await expect(fetch(`${node.url}/livez`)).rejects.toThrow()
    }),
    { numRuns: 15 },
  )
})
