// Connections of simulated clients with their nodes: watches, long answers, and requests whose outcome is unknown.

import { expect, test } from 'vitest'
import {
  checkLinearizable,
  recorded,
  type SimulationError,
  simulate,
} from '../../../../jepsen-lite/testing/index.ts'
import { Client } from '../../../../src/client/index.ts'

const forever = () => new Promise<never>(() => {})

test('a watch receives all, when its client has read nothing for long and when its node is silent', async () => {
  await simulate({ seed: 1 }, async (world) => {
    const keys = new Set<string>()
    const watcher = world.process('watcher', async (self) => {
      for await (const { events } of self.client().watch({ prefix: 'key/' }))
        for (const { key } of events) keys.add(key)
    })
    await using kv = new Client({ endpoints: world.endpoints })
    await world.after(1_000)
    watcher.pause()
    for (let at = 0; at < 60; at++) await kv.put(`key/${at}`, '')
    await world.after(1_000)
    watcher.resume()
    await world.after(1_000)
    expect(keys.size).toBe(60)
    // It has a connection with one of them.
    for (const name of ['n1', 'n2', 'n3']) {
      watcher.cut(name)
      await kv.put(`key/${name}`, '')
      await world.after(120_000)
      expect(keys).toContain(`key/${name}`)
      watcher.heal()
    }
  })
})

test('a watch whose client is killed, or gives up, while it begins leaves nothing', async () => {
  const delays = Array.from({ length: 24 }, (_, at) => at * 0.2)
  const run = simulate({ seed: 1 }, async (world) => {
    const processes = delays.map((ms, at) =>
      world.process(`given-up-${at}`, async (self) => {
        const giveUp = new AbortController()
        const watching = (async () => {
          for await (const _ of self.client().watch({ key: 'a', signal: giveUp.signal })) void _
        })()
        await world.after(ms)
        giveUp.abort()
        await watching.catch(() => {})
        await world.after(100)
      }),
    )
    await Promise.all(processes.map(({ ended }) => ended))
    for (const [at, ms] of delays.entries()) {
      const watcher = world.process(`killed-${at}`, async (self) => {
        for await (const _ of self.client().watch({ key: 'a' })) void _
      })
      await world.after(ms)
      watcher.crash()
    }
    await forever()
  })
  await expect(run).rejects.toMatchObject({ code: 'deadlock' })
})

test('an answer that is not read to its end is left open', async () => {
  const { leftovers } = await simulate({ seed: 2 }, async (world) => {
    const reader = world.process('reader', async (self) => {
      const kv = self.client()
      for (let at = 0; at < 30; at++) await kv.put(`key/${at}`, new Uint8Array(50_000))
      await kv.backup()[Symbol.asyncIterator]().next()
    })
    await reader.ended
  })
  expect(leftovers).toContainEqual({ process: 'reader', what: '1 request' })
})

test('a client does not wait for a paused node, or for one that was killed in the middle of its answer', async () => {
  await simulate({ seed: 2 }, async (world) => {
    await using kv = new Client({ endpoints: world.endpoints, timeoutMs: 60_000 })
    for (let at = 0; at < 30; at++) await kv.put(`key/${at}`, new Uint8Array(50_000))
    const begun = world.now
    for (const { name } of world.cluster.nodes) {
      const node = world.cluster.node(name)
      node.pause()
      await kv.get('a')
      node.resume()
    }
    expect(world.now - begun).toBeLessThan(20_000)
    let killedAt = 0
    for await (const _ of kv.list({ prefix: 'key/', snapshot: true }))
      if (killedAt === 0) {
        killedAt = world.now
        for (const node of world.cluster.nodes) {
          node.crash()
          node.restart()
        }
      }
    expect(world.now - killedAt).toBeLessThan(3_000)
  })
})

test('a client does not learn through a cut that its node was killed', async () => {
  const run = simulate({ seed: 1, nodes: 1 }, async (world) => {
    const node = world.cluster.node('n1')
    node.slowDisk(60_000)
    const worker = world.process('worker', async (self) => {
      const kv = self.client({ endpoints: [node.url], discover: false })
      await kv.get('a')
      await kv.put('a', 'b')
    })
    await world.after(100)
    worker.cut()
    node.crash()
    await world.after(1_000)
    throw new Error('the end')
  })
  const failure = await run.catch((error: unknown) => error as SimulationError)
  expect(failure).toMatchObject({ cause: { message: 'the end' } })
  // A client that learns of it sends the request again.
  expect((failure as SimulationError).trace.filter((step) => step.includes('PUT'))).toHaveLength(1)
})

test('a client knows which changes may have been applied', async () => {
  for (let seed = 1; seed <= 3; seed++) {
    const { history } = await simulate({ seed }, async (world) => {
      const writer = world.process('writer', async (self) => {
        const kv = recorded(self.client({ timeoutMs: 300 }), { history: world.history })
        for (let value = 0; value < 100; value++) {
          await kv.put('a', String(value)).catch(() => {})
          await world.after(20)
        }
      })
      const reader = world.process('reader', async (self) => {
        const kv = recorded(self.client(), { history: world.history })
        while (writer.running) {
          await kv.get('a')
          await world.after(30)
        }
      })
      while (writer.running) {
        await world.after(200)
        writer.cut()
        await world.after(500)
        writer.heal()
      }
      await reader.ended
    })
    expect(checkLinearizable(history).operations).toBeGreaterThan(200)
  }
})
