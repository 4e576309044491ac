// The world of a simulation: predicates that are tested or waited for, and faults of nodes.

import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { SimulationError, simulate, type World } from '../../../jepsen-lite/testing/index.ts'
import { Client } from '../../../src/client/index.ts'
import { lock } from '../../../src/recipes/index.ts'

const forever = () => new Promise<never>(() => {})

test('what must hold always is tested after each step, also between two of one instant', async () => {
  let isBusy = false
  const run = simulate({ seed: 1 }, async (world) => {
    world.always('idle', () => !isBusy)
    await world.after(0)
    isBusy = true
    await world.after(0)
    isBusy = false
  })
  await expect(run).rejects.toMatchObject({ code: 'always', virtualMs: 0 })
})

test.each<[what: string, body: (world: World) => unknown, message: RegExp]>([
  [
    'an invariant that is a promise',
    (world) => {
      world.always('idle', () => Promise.resolve(true) as never)
      return world.after(10)
    },
    /^"idle" does not hold: TypeError: .* not an object \(Promise\)\. Loop instead: /,
  ],
  [
    'an end that is a promise',
    (world) => world.eventually('done', (async () => true) as never),
    /^body has thrown: TypeError: .* not an object \(Promise\)\. Loop instead: /,
  ],
  [
    'what is no boolean',
    (world) => world.until(() => [] as never),
    /a predicate must return true or false, not \[\]/,
  ],
  ['no predicate', (world) => world.until(true as never), /until: predicate must be a function, not true/],
  [
    'no name',
    (world) => world.always((() => true) as never, undefined as never),
    /always: name must be a string/,
  ],
  [
    'no predicate after the name',
    (world) => world.always('a', 1 as never),
    /always: predicate must be a function/,
  ],
  [
    'an unknown option',
    (world) => world.eventually('a', () => true, { within: 5 } as never),
    /no option "within"/,
  ],
  [
    'an end of the process',
    () => process.exit(1),
    /^body called process\.exit: it would end the test\. .* main returns/,
  ],
])('a run fails with %s', async (_, body, message) => {
  await expect(simulate({ seed: 1 }, body)).rejects.toThrow(message)
})

test('a failed predicate has the place that waits for it', async () => {
  const run = simulate({ seed: 1 }, async function waitForIt(world) {
    await world.until(() => [] as never)
  })
  await expect(run).rejects.toHaveProperty('stack', expect.stringMatching(/\n {4}at waitForIt .*world\.test/))
})

test('a body that ends before what must come at last has come fails', async () => {
  const run = simulate({ seed: 1 }, async (world) => {
    void world.eventually('rain', () => false)
    await world.after(10)
  })
  await expect(run).rejects.toMatchObject({
    code: 'eventually',
    message: expect.stringMatching(/^"rain" was not so when body ended: await /),
  })
})

test('what must hold always need not hold while processes are asked to end', async () => {
  let isServing = false
  await simulate({ seed: 1 }, async (world) => {
    world.process('server', async ({ signal }) => {
      isServing = true
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      isServing = false
      await world.after(100)
    })
    await world.until(() => isServing)
    world.always('it serves', () => isServing)
    await world.after(10)
  })
  expect(isServing).toBe(false)
})

test('the body waits for long while only nodes do something', async () => {
  const { virtualMs } = await simulate({ seed: 1 }, (world) => world.until(() => world.now > 60_000))
  expect(virtualMs).toBeLessThan(60_100)
})

test('what came at last may end again', async () => {
  await simulate({ seed: 1 }, async (world) => {
    let isSo = true
    await world
      .eventually('rain', () => isSo, { ms: 1_000 })
      .then(() => {
        isSo = false
      })
    await world.after(5_000)
  })
})

test('every fault of the body is over when something must come at last', async () => {
  await simulate({ seed: 1, nodes: 1 }, async (world) => {
    await using kv = new Client({ endpoints: world.endpoints, timeoutMs: 60_000 })
    const putMs = async () => {
      const begun = world.now
      await kv.put('a', 'b')
      return world.now - begun
    }
    let rate = 0
    const worker = world.process(
      'worker',
      async () => {
        for (;;) {
          const [from, begun] = [performance.now(), world.now]
          await world.after(100)
          rate = Math.round((performance.now() - from) / (world.now - begun))
        }
      },
      { clock: 1 },
    )
    const node = world.cluster.node('n1')
    node.slowDisk(2_000)
    node.skewClock(0.1)
    worker.skewClock(2)
    worker.skewClock(4)
    expect(await putMs()).toBeGreaterThan(2_000)
    expect(rate).toBe(4)
    await world.eventually('the clock is right', () => rate === 1)
    expect(await putMs()).toBeLessThan(500)
  })
})

test('nodes that no group of a partition names form one more', async () => {
  await simulate({ seed: 1 }, async (world) => {
    const first = world.cluster.leader()?.name ?? ''
    world.cluster.partition([first])
    await world.until(() => world.cluster.leader()?.name !== first)
    await using kv = new Client({ endpoints: world.endpoints, timeoutMs: 60_000 })
    await kv.put('a', 'b')
  })
})

test('a node is removed when the cluster has a majority, and not before', async () => {
  await simulate({ seed: 1 }, async (world) => {
    let isRemoved = false
    world.cluster.node('n1').crash()
    world.cluster.node('n2').crash()
    const removed = world.cluster.removeNode('n3').then(() => {
      isRemoved = true
    })
    await world.after(20_000)
    expect(isRemoved).toBe(false)
    world.cluster.node('n1').restart()
    world.cluster.node('n2').restart()
    await removed
    await using kv = new Client({ endpoints: world.endpoints, timeoutMs: 60_000 })
    expect((await kv.cluster()).members.map(({ name }) => name).sort()).toEqual(['n1', 'n2'])
    await world.until(() => world.cluster.nodes.map(({ name }) => name).join() === 'n1,n2')
  })
})

test('a node that is removed while it joins is no member when it is removed', async () => {
  await simulate({ seed: 1 }, async (world) => {
    world.cluster.addNode()
    await world.cluster.removeNode('n4')
    await using kv = new Client({ endpoints: world.endpoints.slice(0, 3) })
    const names = async () => (await kv.cluster()).members.map(({ name }) => name).sort()
    expect(await names()).toEqual(['n1', 'n2', 'n3'])
    await world.after(5_000)
    expect(await names()).toEqual(['n1', 'n2', 'n3'])
    expect(world.cluster.nodes).toHaveLength(3)
  })
})

test('a failure with a report has its message as it is, in its stack as well', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'quorate-simulate-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const run = simulate({ seed: 1, report: join(folder, 'report.html') }, () => {
    throw new Error('it costs $& or $1')
  })
  const failure: unknown = await run.catch((error: unknown) => error)
  if (!(failure instanceof SimulationError)) throw new Error('it has not failed', { cause: failure })
  expect(failure.message).toContain('it costs $& or $1')
  expect(failure.stack).toContain(failure.message)
})

test.each(['unhandledRejection', 'uncaughtException'])(
  'listeners for %s that were there before a run are there after it',
  async (event) => {
    const emitter: NodeJS.EventEmitter = process
    const added = [() => {}, () => {}]
    for (const listener of added) emitter.on(event, listener)
    onTestFinished(() => added.forEach((listener) => void emitter.off(event, listener)))
    const before = emitter.listeners(event)
    await simulate({ seed: 1 }, () => {})
    expect(emitter.listeners(event)).toEqual(before)
  },
)

test('a process that gives up when it is asked to end fails nothing, and one that fails then does', async () => {
  await simulate({ seed: 1 }, async (world) => {
    for (const name of ['a', 'b'])
      world.process(name, async (self) => {
        await using kv = self.client()
        await lock(kv, 'job', { signal: self.signal })
        await new Promise((_, reject) =>
          self.signal.addEventListener('abort', () => reject(self.signal.reason)),
        )
      })
    await world.after(1_000)
  })
  const run = simulate({ seed: 1 }, async (world) => {
    world.process('worker', async ({ signal }) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      throw new Error('bang')
    })
    await world.after(10)
  })
  await expect(run).rejects.toMatchObject({ code: 'failed', cause: { message: 'bang' } })
})

test('many timers may be due at one instant, but virtual time must pass', async () => {
  const wait = (world: World) => () => world.after(10)
  await simulate({ seed: 1, nodes: 1 }, (world) => Promise.all(Array.from({ length: 21_000 }, wait(world))))
  const run = simulate({ seed: 1, nodes: 1 }, async (world) => {
    for (;;) await world.after(0)
  })
  await expect(run).rejects.toMatchObject({
    code: 'virtual_time',
    message: expect.stringContaining('virtual time does not pass: 50000 steps at one instant'),
  })
})

test('the body waits for a removal that takes long', async () => {
  await simulate({ seed: 1 }, async (world) => {
    for (const node of world.cluster.nodes) node.slowDisk(4_000)
    await world.cluster.removeNode('n3')
  })
})

test('a process that begins anew finds the members of now', async () => {
  await simulate({ seed: 1, nodes: 1 }, async (world) => {
    let isDone = false
    const worker = world.process('worker', async (self) => {
      await using kv = self.client()
      await kv.get('a')
      isDone = true
      await forever()
    })
    const { name } = world.cluster.addNode()
    await world.after(5_000)
    await world.cluster.removeNode('n1')
    await world.until(() => world.cluster.nodes.map((node) => node.name).join() === name)
    isDone = false
    worker.crash()
    worker.start()
    await world.eventually('it has an answer', () => isDone)
  })
})

test('a process that is killed waits for nothing that must come at last', async () => {
  await simulate({ seed: 1 }, async (world) => {
    const worker = world.process('worker', () => world.eventually('never', () => false, { ms: 1_000 }))
    await world.after(10)
    worker.crash()
    await world.after(2_000)
  })
})

test('arguments of the world are checked', async () => {
  await simulate({ seed: 1, nodes: 1 }, async (world) => {
    const worker = world.process('worker', forever)
    const node = world.cluster.node('n1')
    const wrong: [(...args: never[]) => unknown, unknown[], string][] = [
      [world.process.bind(world), ['a'], 'process: main must be a function'],
      [world.process.bind(world), ['a', forever, { clocks: 1 }], 'there is no option "clocks"'],
      [world.process.bind(world), ['a', forever, { clock: 0 }], 'process: clock must be a number above 0'],
      [
        world.process.bind(world),
        ['a', forever, { reaches: 'n1' }],
        'process: reaches must be a list of names',
      ],
      [world.connect.bind(world), [], 'connect: handler must be a function'],
      [world.after.bind(world), [Number.NaN], 'after: ms must be a number of milliseconds'],
      [world.after.bind(world), ['10'], 'after: ms must be a number of milliseconds'],
      [world.eventually.bind(world), ['a', forever, { ms: Number.NaN }], 'eventually: ms must be a number'],
      [world.real.bind(world), [], 'real: fn must be a function'],
      [worker.block.bind(worker), [Number.NaN], 'block: ms must be a number of milliseconds from 0 on'],
      [worker.skewClock.bind(worker), [0], 'skewClock: ratio must be a number above 0'],
      [node.skewClock.bind(node), [-1], 'skewClock: ratio must be a number above 0'],
      [node.slowDisk.bind(node), [Number.NaN], 'slowDisk: ms must be a number of milliseconds from 0 on'],
      [node.crash.bind(node), [{ loses: true }], 'there is no option "loses"'],
    ]
    for (const [method, args, message] of wrong) {
      const call = async () => await method(...(args as never[]))
      await expect(call(), message).rejects.toThrow(message)
      await expect(call(), message).rejects.toThrow(TypeError)
    }
  })
})

test('an error of which the end of the body is a distant cause fails nothing', async () => {
  await simulate({ seed: 1 }, async (world) => {
    world.process('worker', async ({ signal }) => {
      await once(signal, 'abort')
      throw new Error('outer', { cause: new Error('inner', { cause: signal.reason }) })
    })
    await world.after(10)
  })
})

test('a timer of a process that was killed hides no deadlock', async () => {
  const run = simulate({ seed: 1 }, async (world) => {
    const worker = world.process('worker', async () => {
      setTimeout(() => {}, 86_400_000)
      await forever()
    })
    await world.after(10)
    worker.crash()
    await forever()
  })
  await expect(run).rejects.toMatchObject({ code: 'deadlock' })
})

test('the test runner continues while only nodes do something', async () => {
  let ticks = 0
  const ticking = setInterval(() => ticks++, 1)
  onTestFinished(() => clearInterval(ticking))
  await simulate({ seed: 1 }, async (world) => {
    const before = ticks
    await world.after(200_000)
    // Turns of the real event loop before and after the wait have some, too.
    expect(ticks).toBeGreaterThan(before + 5)
  })
})

test('no promise is real', async () => {
  const run = simulate({ seed: 1 }, async (world) => {
    await world.real(() => readFile(import.meta.filename))
  })
  await expect(run).rejects.toMatchObject({
    code: 'failed',
    cause: { message: expect.stringContaining('fn must be synchronous') },
  })
})
