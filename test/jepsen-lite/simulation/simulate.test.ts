// Simulations of services, through `simulate` of quorate/testing.

import { scrypt } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished, test, vi } from 'vitest'
import {
  checkLinearizable,
  checkTransactions,
  RecordedHistory,
  recorded,
  SimulationError,
  type SimulationOptions,
  simulate,
  type World,
} from '../../../jepsen-lite/testing/index.ts'
import { Client } from '../../../src/client/index.ts'
import { lock } from '../../../src/recipes/index.ts'

const sleep = (ms: number) => new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), ms))
const keptMicrotask = queueMicrotask
const forever = () => new Promise<never>(() => {})

async function failureOf(
  body: (world: World) => unknown,
  options: SimulationOptions = {},
): Promise<SimulationError> {
  const error = await simulate({ seed: 1, ...options }, body).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error instanceof SimulationError) return error
  throw new Error('it has not failed', { cause: error })
}

/** Two workers take turns with a lock, and each does a second of work. A worker that lost the lock does not notice. */
async function takeTurns(world: World, nemesis: (a: ReturnType<World['process']>) => Promise<void>) {
  const owners = new Set<string>()
  const done = new Set<string>()
  const worker = (name: string) =>
    world.process(name, async (self) => {
      const kv = self.client()
      const held = await lock(kv, 'job', { signal: self.signal })
      owners.add(name)
      await sleep(1_000)
      owners.delete(name)
      await held.release().catch(() => {})
      await kv.close()
      done.add(name)
    })
  const a = worker('a')
  world.always('one owner', () => owners.size <= 1)
  await world.until(() => owners.has('a'))
  worker('b')
  await nemesis(a)
  await world.eventually('both have had their turn', () => done.size === 2)
}

test('a service that is right passes, and each run of a seed is the same', async () => {
  const once = () => simulate({ seed: 7 }, (world) => takeTurns(world, () => world.after(500)))
  const [first, second] = [await once(), await once()]
  expect(first).toMatchObject({ seed: 7, processes: ['a', 'b'], leftovers: [] })
  expect(first.virtualMs).toBeGreaterThan(2_000)
  expect((await simulate({ seed: 7 }, (world) => world.after(10))).virtualMs).toBe(10)
  expect(second.traceHash).toBe(first.traceHash)
  const other = await simulate({ seed: 8 }, (world) => takeTurns(world, () => world.after(500)))
  expect(other.traceHash).not.toBe(first.traceHash)
})

test('a holder that is paused for longer than its lease is found, at the same time in each run', async () => {
  const paused = (world: World) =>
    takeTurns(world, async (a) => {
      await world.after(500)
      a.pause()
      await world.after(60_000)
      a.resume()
    })
  const failure = await failureOf(paused, { seed: 7 })
  expect(failure).toMatchObject({ code: 'always', seed: 7, schedule: '' })
  expect(failure.message).toContain('"one owner" does not hold')
  expect(failure.message).toContain('simulate({ seed: 7 }, …)')
  expect(failure.trace.join('\n')).toContain('pause a')
  expect((await failureOf(paused, { seed: 7 })).virtualMs).toBe(failure.virtualMs)
  // The same as text.
  const failedSchedule = await failureOf((world) => takeTurns(world, () => world.after(70_000)), {
    seed: 7,
    schedule: '500 pause a for 60000',
  })
  expect(failedSchedule).toMatchObject({ code: 'always', schedule: '500 pause a for 60000' })
  // Where the promise stands.
  expect(failure.stack).toMatch(/\n {4}at takeTurns .*simulate\.test\.ts/)
  expect(failure.stack).not.toContain('simulation.ts')
})

/** The counter of the guide: two instances, of which one is in use. */
async function countVisits(options: SimulationOptions) {
  const { history } = await simulate(options, async (world) => {
    const begun: Promise<unknown>[] = []
    const instances = ['n1', 'n2'].map((name) => {
      const client = new Client({ endpoints: [world.cluster.node(name).url], discover: false })
      const kv = recorded(client, { history: world.history })
      return () => {
        const answer = world.history.transaction(async () => {
          const visits = Number((await kv.get('visits'))?.text() ?? 0) + 1
          await kv.put('visits', String(visits))
          return visits
        })
        begun.push(answer)
        return answer
      }
    })
    for (let visit = 0; visit < 10; ) {
      const answer = await Promise.race([instances[0]?.().catch(() => undefined), sleep(300)])
      if (answer === undefined) instances.reverse()
      else visit++
    }
    await Promise.allSettled(begun)
  })
  return history
}

test('a lost update is found in the history of a run', async () => {
  const whole = await countVisits({ seed: 4 })
  expect(checkLinearizable(whole)).toMatchObject({ unknown: 0, failed: 0 })
  expect(checkTransactions(whole).operations).toBe(20)
  const cut = await countVisits({ seed: 4, schedule: '0 partition leader for 600' })
  checkLinearizable(cut)
  expect(() => checkTransactions(cut)).toThrow('lost update')
})

test('each process has a clock of its own, and reads the same real time twice', async () => {
  const clocks: Record<string, number[]> = {}
  const real = Date.now()
  await simulate({ seed: 1 }, async (world) => {
    const read = (name: string, clock: number) =>
      world.process(
        name,
        async () => {
          const [begun, from] = [Date.now(), performance.now()]
          expect(new Date(2020, 0).getFullYear()).toBe(2020)
          await sleep(1_000)
          clocks[name] = [Date.now() - begun, performance.now() - from, world.now]
        },
        { clock },
      )
    const all = [read('fast', 1.25), read('slow', 0.5)]
    expect(Math.abs(Date.now() - real)).toBeGreaterThan(1_000)
    await Promise.all(all.map(({ ended }) => ended))
  })
  expect(Date.now()).toBeGreaterThanOrEqual(real)
  expect(clocks.fast?.map(Math.round)).toEqual([1_000, 1_000, 800])
  expect(clocks.slow?.map(Math.round)).toEqual([1_000, 1_000, 2_000])
})

test('a clock that is skewed runs so, also in the next life of its process, until the fault ends', async () => {
  const rates: number[] = []
  const { faults } = await simulate(
    { seed: 1, schedule: '500 skew worker by 1.5 for 2000' },
    async (world) => {
      const worker = world.process(
        'worker',
        async () => {
          for (;;) {
            const [from, begun] = [performance.now(), world.now]
            await world.after(100)
            rates.push(Math.round(((performance.now() - from) / (world.now - begun)) * 1_000) / 1_000)
          }
        },
        { clock: 0.8 },
      )
      await world.after(1_000)
      worker.crash()
      worker.start()
      await world.after(2_000)
    },
  )
  expect(faults).toBe(1)
  expect(rates.filter((rate, at) => rate !== rates[at - 1])).toEqual([0.8, 1.2, 0.8])
})

test('warnings and other output of a process have its name and its time', async () => {
  let output: unknown
  await simulate({ seed: 1 }, async (world) => {
    const worker = world.process('worker', async () => {
      await world.after(10)
      console.log('one %d', 1)
      process.stderr.write('two\n')
      process.emitWarning('three', 'QuorateWarning')
    })
    await worker.ended
    output = worker.output
  })
  expect(output).toEqual([
    { at: 10, stream: 'stdout', text: 'one 1\n' },
    { at: 10, stream: 'stderr', text: 'two\n' },
    { at: 10, stream: 'stderr', text: 'QuorateWarning: three\n' },
  ])
})

test('the wall clocks of processes differ, and each process finds its own again', async () => {
  const differences: number[] = []
  for (const seed of [1, 2, 3]) {
    const clocks: number[][] = []
    await simulate({ seed }, async (world) => {
      const begun = Date.now()
      const read = (name: string) => {
        const times: number[] = []
        clocks.push(times)
        return world.process(name, () => void times.push(Date.now() - begun - world.now), { clock: 1 })
      }
      const all = ['a', 'b', 'c'].map(read)
      await world.after(500)
      for (const process of all) process.start()
      await world.after(500)
    })
    for (const [first = 0, again] of clocks) expect(Math.abs(first - Number(again))).toBeLessThan(5)
    differences.push(...clocks.map(([first = 0]) => Math.abs(first)))
  }
  expect(Math.max(...differences)).toBeGreaterThan(1_000)
  expect(Math.max(...differences)).toBeLessThan(11_000)
})

test('a process that is killed runs no more, and begins anew', async () => {
  const steps: string[] = []
  await simulate({ seed: 1 }, async (world) => {
    let lives = 0
    const worker = world.process('worker', async () => {
      const life = ++lives
      for (let at = 0; ; at++) {
        steps.push(`${life}.${at}`)
        await sleep(100)
      }
    })
    await world.after(250)
    worker.crash()
    expect(worker.running).toBe(false)
    await world.after(500)
    worker.start()
    await world.after(150)
  })
  expect(steps).toEqual(['1.0', '1.1', '1.2', '2.0', '2.1'])
})

test('the event loop of a process is blocked for a time', async () => {
  const times: number[] = []
  await simulate({ seed: 1 }, async (world) => {
    const worker = world.process(
      'worker',
      async () => {
        for (let at = 0; at < 3; at++) {
          await sleep(100)
          times.push(Math.round(world.now))
        }
      },
      { clock: 1 },
    )
    await world.after(150)
    worker.block(1_000)
    await worker.ended
  })
  expect(times).toEqual([100, 1_150, 1_250])
})

test('a process that is cut off from the nodes waits, and one that reaches one node uses it', async () => {
  const got: Record<string, number> = {}
  await simulate({ seed: 1 }, async (world) => {
    const main = (name: string) => async () => {
      await using kv = new Client({ endpoints: world.endpoints, timeoutMs: 60_000 })
      await kv.put(name, 'x')
      got[name] = world.now
    }
    const cut = world.process('cut', main('cut'))
    cut.cut()
    const one = world.process('one', main('one'), { reaches: ['n2'] })
    await one.ended
    expect(got.cut).toBeUndefined()
    await world.after(5_000)
    cut.heal()
    await cut.ended
  })
  expect(got.one).toBeLessThan(5_000)
  expect(got.cut).toBeGreaterThan(5_000)
})

/** Notes of faults and of processes, from the time at which the first fault begins. */
const notesOf = (history: { toString(): string }): Record<string, unknown>[] =>
  history
    .toString()
    .split('\n')
    .filter((line) => line.includes('"note"'))
    .map((line) => JSON.parse(line))
    .filter(({ what, node, time }) => what !== 'role' && (node === undefined || time > 0))
    .map(({ type, time, what, ...rest }) => ({ [what]: Math.round(time), ...rest }))

test('faults are noted for the report: by hand, of nodes and of processes', async () => {
  const { history } = await simulate({ seed: 1 }, async (world) => {
    const worker = world.process('worker', async () => {
      console.log('begins')
      await forever()
    })
    await world.after(1_000)
    worker.pause()
    worker.pause()
    await world.after(1_000)
    worker.resume()
    worker.resume()
    worker.block(500)
    worker.cut('n1', 'n2')
    await world.after(1_000)
    worker.heal()
    worker.crash()
    worker.crash()
    await world.after(1_000)
    worker.start()
    world.cluster.partition(['n1'], ['n2', 'n3'])
    await world.after(1_000)
    world.cluster.heal()
    world.cluster.node('n2').slowDisk(20)
    world.cluster.node('n2').slowDisk(0)
    world.cluster.node('n3').crash()
  })
  const worker = { process: 'worker' }
  const struck = { nodes: [], processes: ['worker'], effect: 'worker' }
  expect(notesOf(history)).toMatchObject([
    { start: 0, process: 'body' },
    { start: 0, ...worker },
    { output: 0, ...worker, stream: 'stdout', text: 'begins\n' },
    { inject: 1_000, fault: 'pause', id: 1, ...struck },
    { pause: 1_000, ...worker },
    { heal: 1_000, id: 1 },
    { inject: 1_000, fault: 'pause', id: 2, ...struck },
    { pause: 1_000, ...worker },
    { heal: 2_000, id: 2 },
    { resume: 2_000, ...worker },
    { inject: 2_000, fault: 'block', id: 3, ...struck },
    { block: 2_000, ...worker },
    { inject: 2_000, fault: 'cut', id: 4, ...struck, from: 'n1,n2' },
    { heal: 2_500, id: 3 },
    { unblock: 2_500, ...worker },
    { heal: 3_000, id: 4 },
    { inject: 3_000, fault: 'crash', id: 5, ...struck },
    { kill: 3_000, ...worker },
    { start: 4_000, ...worker },
    { heal: 4_000, id: 5 },
    { inject: 4_000, fault: 'partition', id: 6, nodes: ['n1', 'n2', 'n3'], groups: 'n1 | n2,n3' },
    { output: 4_000, ...worker },
    { heal: 5_000, id: 6 },
    { inject: 5_000, fault: 'slow-disk', id: 7, nodes: ['n2'], by: 20 },
    { heal: 5_000, id: 7 },
    { inject: 5_000, fault: 'crash', id: 8, nodes: ['n3'] },
    { kill: 5_000, node: 'n3' },
    { ended: 5_000, ...worker },
  ])
})

test('a process that is blocked again is noted until it continues, or is killed', async () => {
  const { history } = await simulate({ seed: 1 }, async (world) => {
    const worker = world.process('worker', forever)
    const block = async (ms: number) => {
      worker.block(ms)
      await world.after(100)
    }
    await block(300)
    await block(300)
    await world.after(1_000)
    await block(300)
    worker.crash()
  })
  const isOfBlock = ({ fault, unblock }: Record<string, unknown>) =>
    fault === 'block' || unblock !== undefined
  expect(notesOf(history).filter(isOfBlock)).toMatchObject([
    { inject: 0, id: 1 },
    { heal: 100, id: 1 },
    { inject: 100, id: 2 },
    { heal: 600, id: 2 },
    { unblock: 600 },
    { inject: 1_200, id: 3 },
    { heal: 1_300, id: 3 },
  ])
})

test('faults that end a node, and a pause, are noted until it starts again', async () => {
  const { history } = await simulate({ seed: 1 }, async (world) => {
    const node = world.cluster.node('n1')
    for (const strike of [
      () => node.crash({ losesUnsynced: true }),
      () => node.crash(),
      () => node.pause(),
    ]) {
      strike()
      await world.after(500)
      node.restart()
      await world.after(500)
    }
  })
  const times = (kind: string) =>
    notesOf(history).flatMap(({ inject, heal, fault }) => (fault === kind ? [inject ?? heal] : []))
  expect(times('power-loss')).toEqual([0, 500])
  expect(times('crash')).toEqual([1_000, 1_500, 2_500, 2_500])
  expect(times('pause')).toEqual([2_000, 2_500])
})

test('faults of a schedule are noted once each, with those that they really strike', async () => {
  const schedule =
    '100 crash n1,worker for 300; 200 pause n1,n2 for 50; 240 pause n1 for 50; 310 crash nobody for 1'
  const { history } = await simulate({ seed: 1, schedule }, async (world) => {
    world.process('worker', forever)
    await world.after(1_000)
  })
  expect(notesOf(history).filter((note) => 'inject' in note || 'heal' in note || 'no fault' in note)).toEqual(
    [
      {
        inject: 100,
        fault: 'crash',
        id: 1,
        nodes: ['n1'],
        processes: ['worker'],
        for: 300,
        effect: 'n1 worker',
      },
      { inject: 200, fault: 'pause', id: 2, nodes: ['n1', 'n2'], for: 50, effect: 'n2' },
      { inject: 240, fault: 'pause', id: 3, nodes: ['n1'], for: 50, effect: null },
      { heal: 250, fault: 'pause', id: 2 },
      { heal: 290, fault: 'pause', id: 3 },
      { 'no fault': 310, fault: 'crash', why: 'there is no nobody' },
      { heal: 400, fault: 'crash', id: 1 },
    ],
  )
  const states = notesOf(history).filter(({ node, process }) => (node ?? process) !== undefined)
  expect(states).toMatchObject([
    { start: 0, process: 'body' },
    { start: 0, process: 'worker' },
    { kill: 100, node: 'n1' },
    { kill: 100, process: 'worker' },
    { pause: 200, node: 'n2' },
    { resume: 250, node: 'n2' },
    { start: 400, process: 'worker' },
    { start: expect.any(Number), node: 'n1' },
    { ended: 1_000, process: 'worker' },
  ])
})

test('a change survives the loss of power of every node', async () => {
  await simulate({ seed: 3 }, async (world) => {
    await using kv = new Client({ endpoints: world.endpoints, timeoutMs: 60_000 })
    await kv.put('a', '1')
    for (const node of world.cluster.nodes) node.crash({ losesUnsynced: true })
    expect(world.cluster.leader()).toBeUndefined()
    await world.after(1_000)
    for (const node of world.cluster.nodes) node.restart()
    expect((await kv.get('a'))?.text()).toBe('1')
  })
})

test('the disks of the nodes have space, whatever the seed', async () => {
  for (let seed = 1; seed <= 12; seed++) await simulate({ seed, nodes: 1 }, writeOnce)
})

async function writeOnce(world: World): Promise<void> {
  const client = world.process('client', async (self) => {
    await self.client().put('a', 'b')
  })
  await client.ended
}

test('what a process leaves open when it ends is in the result', async () => {
  const { leftovers } = await simulate({ seed: 1 }, async (world) => {
    const tidy = world.process('tidy', async (self) => {
      await using kv = self.client()
      await kv.get('a')
      setTimeout(() => {}, 1_000).unref()
      clearTimeout(setTimeout(() => {}, 1_000))
    })
    const untidy = world.process('untidy', async (self) => {
      const kv = self.client()
      const watch = kv.watch({ key: 'a' })
      void watch[Symbol.asyncIterator]().next()
      setInterval(() => {}, 1_000)
      setTimeout(() => {}, 1_000)
      await sleep(100)
    })
    await Promise.all([tidy.ended, untidy.ended])
    const kv = new Client({ endpoints: world.endpoints })
    void kv.put('a', 'b')
  })
  expect(leftovers).toEqual([
    { process: 'untidy', what: '2 timers' },
    { process: 'untidy', what: '1 watch' },
    { process: 'body', what: '1 request' },
  ])
})

test('a list of one revision, a backup and the keys of a lease are read, also when they are given up or cut', async () => {
  const { leftovers } = await simulate({ seed: 2 }, async (world) => {
    const reader = world.process('reader', async (self) => {
      await using kv = self.client({ timeoutMs: 60_000 })
      const names = Array.from({ length: 300 }, (_, at) => `key/${String(at).padStart(3, '0')}`)
      const { id: lease } = await kv.grantLease({ ttlMs: 600_000 })
      await Promise.all(names.map((name) => kv.put(name, 'x'.repeat(1_000), { lease })))
      const keys: string[] = []
      for await (const { key } of kv.list({ prefix: 'key/', snapshot: true })) {
        keys.push(key)
        // The node and its connections are gone in the middle.
        if (keys.length === 100) world.cluster.leader()?.crash()
      }
      expect(keys).toEqual(names)
      for await (const { key } of kv.list({ prefix: 'key/', snapshot: true })) if (key === names[10]) break
      for (const node of world.cluster.nodes) if (!node.running) node.restart()
      expect((await kv.lease(lease, { keys: true }))?.keys).toHaveLength(names.length)
      let bytes = 0
      for await (const chunk of kv.backup()) bytes += chunk.length
      expect(bytes).toBeGreaterThan(300_000)
    })
    await reader.ended
  })
  expect(leftovers).toEqual([])
})

test('members are added and removed', async () => {
  await simulate({ seed: 3 }, async (world) => {
    await using kv = new Client({ endpoints: world.endpoints, timeoutMs: 60_000 })
    await kv.put('a', '1')
    expect(world.cluster.addNode().name).toBe('n4')
    const names = async () => (await kv.cluster()).members.map(({ name }) => name).sort()
    await world.after(5_000)
    expect(await names()).toEqual(['n1', 'n2', 'n3', 'n4'])
    await world.cluster.removeNode('n1')
    expect(await names()).toEqual(['n2', 'n3', 'n4'])
    expect((await kv.get('a'))?.text()).toBe('1')
  })
})

test('processes answer requests of each other', async () => {
  await simulate({ seed: 1 }, async (world) => {
    const server = world.process('Shop', async () => {
      world.connect(async (request) => {
        const { pathname } = new URL(request.url)
        if (pathname === '/slow') await sleep(60_000)
        return Response.json({ pathname, text: await request.text() }, { status: 201 })
      })
      await forever()
    })
    const codeOf = (error: unknown) =>
      (error instanceof Error && (error.cause as { code: string }).code) || error
    await world.after(1)
    const answer = await fetch('http://shop/a?b', { method: 'POST', body: 'hello' })
    expect(answer.status).toBe(201)
    expect(await answer.json()).toEqual({ pathname: '/a', text: 'hello' })
    const slow = fetch('http://shop/slow')
    const late = fetch('http://shop/slow', { signal: AbortSignal.timeout(100) })
    await expect(late).rejects.toMatchObject({ name: 'TimeoutError' })
    server.crash()
    expect(await slow.catch(codeOf)).toBe('ECONNRESET')
    expect(await fetch('http://shop/a').catch(codeOf)).toBe('ECONNREFUSED')
    expect(await fetch('http://nobody/').catch(codeOf)).toBe('ECONNREFUSED')
    const nameless = world.process('a/b', async () => {
      expect(() => world.connect(() => new Response())).toThrow('no host has the name a/b')
    })
    await nameless.ended
  })
})

test('a failure shows the cause of what was thrown, and frames of the user alone', async () => {
  const failure = await failureOf(async function sendNowhere() {
    await fetch('http://nobody/')
  })
  expect(failure.what).toMatch(
    /^body has thrown: TypeError: fetch failed\n {4}at .*sendNowhere .*\n(?:.*\n)* {2}cause: Error: nothing listens at nobody$/,
  )
  expect(failure.what).not.toContain('process-requests.ts')
})

const throwIn = (later: (run: () => void) => void) => async (world: World) => {
  world.process('worker', async () => {
    later(() => {
      throw new Error('bang')
    })
    await forever()
  })
  await forever()
}

test.each([
  ['the body throws', () => Promise.reject(new Error('bang')), 'body has thrown: Error: bang'],
  [
    'a process throws',
    async (world: World) => {
      world.process('worker', () => Promise.reject(new Error('bang')))
      await forever()
    },
    'worker has thrown: Error: bang',
  ],
  [
    'a timer throws',
    async (world: World) => {
      world.process('worker', async () => {
        setTimeout(() => {
          throw new Error('bang')
        }, 10)
        await forever()
      })
      await forever()
    },
    'worker has thrown: Error: bang',
  ],
  [
    'nobody handles a rejection',
    async (world: World) => {
      world.process('worker', async () => {
        void Promise.reject(new Error('bang'))
        await forever()
      })
      await forever()
    },
    'a promise that nobody handled has thrown: Error: bang',
  ],
  ['a microtask throws', throwIn((run) => queueMicrotask(run)), 'worker has thrown: Error: bang'],
  [
    'a function of process.nextTick throws',
    throwIn((run) => process.nextTick(run)),
    'worker has thrown: Error: bang',
  ],
  [
    'a microtask of a function that was kept throws',
    throwIn(keptMicrotask),
    'a callback has thrown: Error: bang',
  ],
] as const)('a run fails when %s', async (_, body, text) => {
  const failure = await failureOf(body)
  expect(failure).toMatchObject({ code: 'failed', message: expect.stringContaining(text) })
  expect(failure.cause).toMatchObject({ message: 'bang' })
})

async function waitForNobody() {
  await forever()
}

async function waitForLittle() {
  await sleep(10)
}

test('a run in which nothing is left to happen names the places that wait', async () => {
  const failure = await failureOf(async (world) => {
    world.process('worker', waitForNobody)
    await waitForLittle()
    await waitForNobody()
  })
  expect(failure.code).toBe('deadlock')
  expect(failure.message).not.toContain('waitForLittle')
  expect(failure.message).toMatch(/These wait:\n(.*\n)*.*body at waitForNobody .*simulate\.test\.ts/)
  expect(failure.message).toMatch(/\n.*worker at .*waitForNobody .*simulate\.test\.ts/)
})

const keptSleep = promisify(setTimeout)

test('a timer that was kept from before the run is refused, with what to do', async () => {
  const failure = await failureOf(() => keptSleep(10))
  expect(failure.code).toBe('real_io')
  expect(failure.message).toMatch(
    /^body called setTimeout .*, which was kept from before .* Call it by its global name, or through the default export/,
  )
})

test('a failure after many steps has the last of them', async () => {
  const failure = await failureOf(() => {
    for (let line = 0; line < 450; line++) console.log(line)
    throw new Error('bang')
  })
  const lines = failure.trace.slice(-200).map((step) => Number(step.split(' ').at(-1)))
  expect(lines).toEqual(Array.from({ length: 200 }, (_, at) => 250 + at))
})

test('a run has a limit of virtual time', async () => {
  const failure = await failureOf(
    async () => {
      for (;;) await sleep(100)
    },
    { virtualMsMax: 5_000 },
  )
  expect(failure).toMatchObject({ code: 'virtual_time', virtualMs: 5_000 })
})

test('a loop that waits for a clock fails the run, as virtual time stands still', async () => {
  const failure = await failureOf(async function compute() {
    const end = Date.now() + 500
    while (Date.now() < end);
  })
  expect(failure).toMatchObject({ code: 'virtual_time', virtualMs: 0 })
  expect(failure.message).toMatch(/^body reads its clock again and again: .* block\(ms\) /)
  expect(failure.stack).toMatch(/\n {4}at compute .*simulate\.test\.ts/)
})

/** A process writes a key, and the run fails. */
const failing = async (world: World) => {
  const worker = world.process('worker', async (self) => {
    await using client = self.client()
    console.log('writes <now>')
    await recorded(client, { history: world.history }).put('a', '1')
  })
  await worker.ended
  world.cluster.node('n1').pause()
  await world.eventually('rain', () => false, { ms: 2_000 })
}

test('a run that fails writes a report, into a folder that may not exist yet', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'quorate-simulate-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const report = join(folder, 'reports/today/report.html')
  await simulate({ seed: 1, report }, () => {})
  expect(existsSync(report)).toBe(false)
  const failure = await failureOf(failing, { report })
  expect(failure.report).toBe(report)
  expect(failure.message).toMatch(/^"rain" was not so within 2\.000 s\n(.*\n)*Report: .*report\.html$/)
  expect(failure.stack).toContain(failure.message)
  const html = readFileSync(report, 'utf8')
  expect(html).toContain('"rain" was not so within 2.000 s'.replaceAll('"', '&quot;'))
  expect(html).toContain('simulate({ seed: 1 }, …)')
  expect(html).toContain('writes &lt;now&gt;')
  const data = JSON.parse(html.match(/id="data">(.*?)<\/script>/s)?.[1] ?? '')
  expect(data).toMatchObject({
    ...{
      startMs: 0,
      brokenMs: [failure.virtualMs],
      nodes: ['n1', 'n2', 'n3'],
      processes: ['body', 'worker'],
    },
    calls: [{ what: 'put a = "1"', outcome: 'ok' }],
    output: [{ process: 1, isError: false, text: 'writes <now>' }],
    faults: [{ kind: 'pause', nodes: [0], effect: 'n1' }],
  })
  // The report has the places that wait, which a second run finds.
  const waiting = await failureOf(() => waitForNobody(), { report })
  expect(waiting).toMatchObject({ code: 'deadlock', report })
  expect(readFileSync(report, 'utf8')).toContain('body at waitForNobody')
})

test('a check in the body writes its report too', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'quorate-simulate-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const report = join(folder, 'reports/check.html')
  const failure = await failureOf(async ({ history }) => {
    history.recorder.ok(history.invoke('1', { f: 'put', key: 'a', value: 'new' }), {})
    history.recorder.ok(history.invoke('1', { f: 'get', key: 'a' }), { value: 'old' })
    checkLinearizable(history, { report })
  })
  expect(failure).toMatchObject({ code: 'failed', cause: { name: 'AnomalyError', report } })
  expect(readFileSync(report, 'utf8')).toContain('operation 2 fits nowhere')
})

test('the body saves its history', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'quorate-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const file = join(directory, 'history.jsonl')
  await simulate({ seed: 1 }, async (world) => {
    const kv = recorded(new Client({ endpoints: world.endpoints }), { history: world.history })
    await kv.put('a', 'b')
    world.history.save(file)
  })
  expect(checkLinearizable(RecordedHistory.load(file)).operations).toBe(1)
})

test('a report that cannot be written hides nothing', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'quorate-simulate-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'file'), '')
  const failure = await failureOf(failing, { report: join(folder, 'file/report.html') })
  expect(failure).toMatchObject({ code: 'eventually', report: undefined })
  expect(failure.message).toMatch(/^"rain" was not so (.*\n)*The report could not be written: E/)
})

test('what must come at last comes, or fails the run', async () => {
  const failure = await failureOf((world) => world.eventually('rain', () => false, { ms: 3_000 }))
  expect(failure).toMatchObject({ code: 'eventually', virtualMs: 3_000 })
  expect(failure.message).toContain('"rain" was not so within 3.000 s')
  await simulate(
    { seed: 1, schedule: '100 partition n1 for 600000; 100 partition n2 for 600000' },
    async (world) => {
      await world.after(200)
      await using kv = new Client({ endpoints: world.endpoints, timeoutMs: 60_000 })
      let isDone = false
      const got = kv.get('a').then(() => {
        isDone = true
      })
      await world.after(10_000)
      expect(isDone).toBe(false)
      // All faults end.
      await world.eventually('the key is read', () => isDone)
      await got
    },
  )
})

test('two runs that differ are found, with the first step that does', async () => {
  let runs = 0
  const body = async (world: World) => {
    runs++
    await using kv = new Client({ endpoints: world.endpoints })
    await kv.put('same', 'x')
    await kv.put(`run-${runs}`, 'x')
  }
  const failure = await failureOf(body, { determinism: 'check' })
  expect(failure).toMatchObject({
    code: 'not_deterministic',
    message: expect.stringMatching(
      /two runs differ in step \d+: "body: PUT .*run-1.*", then "body: PUT .*run-2/,
    ),
  })
  // The second run ends where the first one does something more.
  let again = 0
  const shorter = await failureOf(() => again++ === 0 && console.log('once'), { determinism: 'check' })
  expect(shorter).toMatchObject({
    code: 'not_deterministic',
    message: expect.stringMatching(/two runs differ after step \d+: "body: output once", then the end/),
  })
  await simulate({ seed: 1, determinism: 'check' }, async (world) => {
    await using kv = new Client({ endpoints: world.endpoints })
    await kv.put(String(Math.random()), String(Date.now()))
  })
})

test('work on the thread pool takes no virtual time, and ends in the order in which it began', async () => {
  const once = async () => {
    const steps: string[] = []
    await simulate({ seed: 1 }, async (world) => {
      const work = async (name: string, length: number) => {
        const { promise, resolve } = Promise.withResolvers<void>()
        scrypt('password', name, length, { N: 2 ** length }, () => resolve())
        await promise
        steps.push(`${name} is derived`)
        await Promise.resolve()
        steps.push(`${name} continues`)
      }
      await Promise.all([work('slow', 11), work('quick', 1), work('other', 2)])
      expect(world.now).toBe(0)
    })
    return steps
  }
  for (let run = 0; run < 5; run++)
    expect(await once()).toEqual(
      ['slow', 'quick', 'other'].flatMap((name) => [`${name} is derived`, `${name} continues`]),
    )
})

test('runs wait for each other, and leave no global behind', async () => {
  const before = [setTimeout, Date, Math.random, performance.now, fetch]
  onTestFinished(() => expect([setTimeout, Date, Math.random, performance.now, fetch]).toEqual(before))
  const order: string[] = []
  const run = (name: string, fails = false) =>
    simulate({ seed: 1 }, async () => {
      order.push(`${name} begins`)
      await sleep(100)
      order.push(`${name} ends`)
      if (fails) throw new Error('bang')
    }).catch(() => {})
  await Promise.all([run('a'), run('b', true), run('c')])
  expect(order).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends'])
})

test.each([
  [{ seed: -1 }, 'seed'],
  [{ nodes: 8 }, 'nodes'],
  [{ sede: 1 }, 'sede'],
  [{ virtualMsMax: 0 }, 'virtualMsMax'],
] as const)('options that are wrong: %o', async (options, name) => {
  await expect(simulate(options as SimulationOptions, () => {})).rejects.toThrow(name)
})

test.each(['', 'a b', 'for', 'leader', 'n4'])(
  'no process has the name %j, which a schedule cannot name',
  async (name) => {
    const error = await failureOf((world) => world.process(name, forever))
    expect(error.message).toContain('process: name must be the name of a process')
  },
)

test('a seed of more than 32 bits would be another one', async () => {
  const failure = await failureOf(() => Promise.reject(new Error('bang')), { seed: 2 ** 32 - 1 })
  expect(failure.seed).toBe(4_294_967_295)
  await expect(simulate({ seed: 2 ** 32 }, () => {})).rejects.toThrow(
    'simulate: seed must be a whole number from 0 to 4294967295, not 4294967296',
  )
})

test('a schedule that is wrong is named', async () => {
  await expect(simulate({ schedule: '1 crush n1 for 2' }, () => {})).rejects.toThrow('crush')
})

test.each<[timing: object, error: typeof Error, message: string]>([
  [{ heartbeat: 5 }, TypeError, 'simulate: timing: there is no option "heartbeat"'],
  [{ electionMinMs: '500' }, TypeError, 'electionMinMs must be a number of milliseconds'],
  [{ heartbeatMs: Number.NaN }, TypeError, 'heartbeatMs must be a number of milliseconds'],
  [{ heartbeatMs: 400 }, RangeError, 'must be a range that begins above twice the heartbeat (400 ms)'],
])('wrong timing of nodes is named: %o', async (timing, error, message) => {
  const run = async () => await simulate({ seed: 1, timing }, () => {})
  await expect(run()).rejects.toThrow(message)
  await expect(run()).rejects.toThrow(error)
})

test('microtasks of a process run while those of the test are fake', async () => {
  vi.useFakeTimers({ toFake: ['queueMicrotask'] })
  onTestFinished(() => void vi.useRealTimers())
  const order: string[] = []
  await simulate({ seed: 1 }, async () => {
    process.nextTick((text: string) => order.push(text), 'tick')
    await new Promise<void>((resolve) => {
      queueMicrotask(() => {
        order.push('microtask')
        resolve()
      })
    })
  })
  expect(order).toEqual(['microtask', 'tick'])
})
