// Connections of simulated clients with their nodes: watches, long answers, and requests whose outcome is unknown.

import { expect, test } from 'vitest'
import {
  checkLinearizable,
  recorded,
  type SimulationError,
  simulate,
} from '../../../../jepsen-lite/testing/index.ts'
import { Client, type QuorateError } from '../../../../src/client/index.ts'

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

test('a watch whose node is killed continues at another node soon', async () => {
  await simulate({ seed: 1 }, async (world) => {
    const keys = new Set<string>()
    world.process('watcher', async (self) => {
      for await (const { events } of self.client().watch({ prefix: 'key/' }))
        for (const { key } of events) keys.add(key)
    })
    await using kv = new Client({ endpoints: world.endpoints, timeoutMs: 60_000 })
    // It has a connection with one of them.
    for (const node of world.cluster.nodes) {
      await world.after(1_000)
      node.crash()
      await kv.put(`key/${node.name}`, '')
      await world.after(2_000)
      expect(keys).toContain(`key/${node.name}`)
      node.restart()
    }
  })
})

test('events of a watch arrive in the order of their revisions', async () => {
  await simulate({ seed: 1 }, async (world) => {
    const revisions: number[] = []
    world.process('watcher', async (self) => {
      for await (const { revision } of self.client().watch({ prefix: 'key/' })) revisions.push(revision)
    })
    await using kv = new Client({ endpoints: world.endpoints })
    const begin = (await kv.put('a', '')).revision
    await world.after(1_000)
    for (let at = 0; at < 40; at++) {
      void kv.put(`key/${at}`, '')
      await world.after(0.4)
    }
    await world.after(1_000)
    expect(revisions).toEqual(Array.from({ length: 40 }, (_, at) => begin + 1 + at))
  })
})

test('a watch whose nodes are killed before its first event misses none', async () => {
  await simulate({ seed: 1 }, async (world) => {
    const keys: string[] = []
    world.process('watcher', async (self) => {
      for await (const { events } of self.client().watch({ prefix: 'key/' }))
        for (const { key } of events) keys.push(key)
    })
    await world.after(1_000)
    for (const node of world.cluster.nodes) {
      node.crash()
      node.restart()
    }
    await using kv = new Client({ endpoints: world.endpoints, timeoutMs: 60_000 })
    await kv.put('key/a', '')
    await kv.put('key/b', '')
    await world.until(() => keys.includes('key/b'))
    expect(keys).toEqual(['key/a', 'key/b'])
  })
})

test('a watch whose client is killed, or gives up, while it begins leaves nothing', async () => {
  const delays = Array.from({ length: 24 }, (_, at) => at * 0.2)
  const run = simulate({ seed: 1 }, async (world) => {
    for (const [at, ms] of delays.entries())
      world.process(`given-up-${at}`, async (self) => {
        const giveUp = new AbortController()
        const watching = (async () => {
          for await (const _ of self.client().watch({ key: 'a', signal: giveUp.signal })) void _
        })()
        await world.after(ms)
        giveUp.abort()
        await watching.catch(() => {})
        // Its connections are not ended by its end.
        await forever()
      })
    await world.after(1_000)
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

test('a list whose client is killed, or gives up, leaves nothing', async () => {
  const run = simulate({ seed: 1 }, async (world) => {
    await using kv = new Client({ endpoints: world.endpoints })
    for (let at = 0; at < 8; at++) await kv.put(`key/${at}`, new Uint8Array(50_000))
    for (let at = 0; at < 24; at++) {
      const giveUp = new AbortController()
      const list = { prefix: 'key/', snapshot: true }
      const reading = (async () => {
        for await (const _ of kv.list({ ...list, signal: giveUp.signal })) void _
      })()
      const reader = world.process(`reader-${at}`, async (self) => {
        for await (const _ of self.client().list(list)) void _
        await forever()
      })
      await world.after(at * 0.2)
      reader.crash()
      giveUp.abort()
      await reading.catch(() => {})
    }
    await forever()
  })
  await expect(run).rejects.toMatchObject({ code: 'deadlock' })
})

test('a client leaves a silent node for another one, and waits for the last one while it has time', async () => {
  await simulate({ seed: 1 }, async (world) => {
    const { nodes } = world.cluster
    const silent = nodes.find(({ name }) => name !== world.cluster.leader()?.name)
    silent?.pause()
    for (let at = 0; at < 6; at++) {
      await using kv = new Client({ endpoints: world.endpoints, timeoutMs: 60_000 })
      await kv.get('a')
    }
    expect(world.now).toBeGreaterThan(900)
    expect(world.now).toBeLessThan(10_000)
    for (const node of nodes) node.pause()
    const pausedAt = world.now
    await using kv = new Client({ endpoints: world.endpoints, timeoutMs: 2_000 })
    await expect(kv.get('a')).rejects.toMatchObject({ written: 'no' })
    expect(Math.round((world.now - pausedAt) / 1_000)).toBe(2)
    for (const node of nodes) node.resume()
  })
})

test('a change without a connection is not sent, and one with a connection is made after its time', async () => {
  // With 200 ms the answer is late, with 400 ms the change.
  const schedule = '1000 slow-link writer by 200 for 2000; 4000 slow-link writer by 400 for 2000'
  await simulate({ seed: 1, schedule }, async (world) => {
    const node = world.cluster.node('n1')
    const written = new Map<string, string>()
    const writer = world.process('writer', async (self) => {
      const kv = self.client({ endpoints: [node.url], discover: false, timeoutMs: 300 })
      await kv.get('a')
      for (const begun of [1_500, 4_500]) {
        await world.after(begun - world.now)
        const keys = Array.from({ length: 16 }, (_, at) => `key/${begun}/${at}`)
        const put = async (key: string) => {
          const error = await kv.put(key, '').catch((thrown: QuorateError) => thrown)
          written.set(key, error instanceof Error ? error.written : 'yes')
        }
        await Promise.all(keys.map(put))
      }
    })
    await writer.ended
    await world.after(2_000)
    await using kv = new Client({ endpoints: world.endpoints })
    const made = new Set<string>()
    for await (const { key } of kv.list({ prefix: 'key/' })) made.add(key)
    for (const [key, known] of written) expect([key, known]).toEqual([key, made.has(key) ? 'unknown' : 'no'])
    expect(made.size).toBeGreaterThan(16)
    expect(made.size).toBeLessThan(32)
  })
})

test('a client waits for a connection up to its limit, and for an answer up to the end of its time', async () => {
  await simulate({ seed: 1, schedule: '1000 slow-link reader by 20000 for 60000' }, async (world) => {
    const node = world.cluster.node('n1')
    const seconds = new Set<number>()
    const reader = world.process('reader', async (self) => {
      const limits = { timeoutMs: 10_000, unreachableAfterMs: 1_000 }
      const kv = self.client({ endpoints: [node.url], discover: false, ...limits })
      await kv.get('a')
      await world.after(2_000 - world.now)
      const read = async () => {
        await expect(kv.get('a')).rejects.toMatchObject({ written: 'no' })
        seconds.add(Math.round(world.now / 1_000) - 2)
      }
      await Promise.all(Array.from({ length: 8 }, read))
    })
    await reader.ended
    // Some requests leave at once, on a connection that was kept.
    expect([...seconds]).toEqual([1, 10])
  })
})

test('a node that was killed answers nothing that it had in flight', async () => {
  await simulate({ seed: 1 }, async (world) => {
    const node = world.cluster.node('n2')
    world.cluster.partition(['n2'])
    // It knows no leader, so the read waits there.
    await world.after(10_000)
    const reader = world.process('reader', async (self) => {
      const kv = self.client({ endpoints: [node.url], discover: false, timeoutMs: 2_000 })
      await expect(kv.get('a')).rejects.toThrow('connection refused')
    })
    await world.after(100)
    node.crash()
    await reader.ended
  })
})

test('a simulation refuses to check rights', async () => {
  await simulate({ seed: 1 }, async (world) => {
    await using kv = new Client({ endpoints: world.endpoints })
    await kv.users.put('root', { password: 'correct horse battery', roles: ['root'] })
    await expect(kv.auth.enable()).rejects.toThrow('a simulation checks no rights')
    await using root = new Client({
      endpoints: world.endpoints,
      user: 'root',
      password: 'correct horse battery',
    })
    await root.put('a', '')
  })
})

test('a backup whose node is killed fails soon', async () => {
  await simulate({ seed: 1 }, async (world) => {
    await using kv = new Client({ endpoints: world.endpoints })
    for (let at = 0; at < 30; at++) await kv.put(`key/${at}`, new Uint8Array(50_000))
    const pieces = kv.backup()[Symbol.asyncIterator]()
    await pieces.next()
    const killedAt = world.now
    for (const node of world.cluster.nodes) node.crash()
    const rest = async () => {
      while ((await pieces.next()).done !== true);
    }
    await expect(rest()).rejects.toThrow('the stream of the backup')
    expect(world.now - killedAt).toBeLessThan(100)
  })
})

test('a list whose node is killed before the answer has arrived fails nothing', async () => {
  await simulate({ seed: 1, schedule: '1 slow-link reader by 100 for 60000' }, async (world) => {
    const seen: string[] = []
    let begun = Number.POSITIVE_INFINITY
    const reader = world.process('reader', async (self) => {
      const kv = self.client({ timeoutMs: 60_000 })
      await kv.put('key/a', '')
      begun = world.now
      for await (const { key } of kv.list({ prefix: 'key/', snapshot: true })) seen.push(key)
    })
    // The answer has left its node, and has not arrived.
    await world.until(() => world.now > begun + 150)
    for (const node of world.cluster.nodes) {
      node.crash()
      node.restart()
    }
    await reader.ended
    expect(seen).toEqual(['key/a'])
  })
})

test('a client waits for its last node when all are slower than the limit of a try', async () => {
  await simulate({ seed: 1 }, async (world) => {
    await using kv = new Client({ endpoints: world.endpoints, timeoutMs: 5_000 })
    for (const node of world.cluster.nodes) node.slowDisk(800)
    await kv.put('a', 'b')
    expect(world.now).toBeLessThan(4_000)
  })
})

test('an answer that has arrived at a paused process is read, after its time is over as well', async () => {
  await simulate({ seed: 1 }, async (world) => {
    let value = ''
    let isSent = false
    const reader = world.process('reader', async (self) => {
      const kv = self.client({ timeoutMs: 1_000 })
      await kv.put('a', 'b')
      await world.after(1_000)
      const answer = kv.get('a')
      isSent = true
      value = (await answer)?.text() ?? ''
    })
    await world.until(() => isSent)
    reader.pause()
    await world.after(60_000)
    reader.resume()
    await reader.ended
    expect(value).toBe('b')
  })
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
