// Schedules of faults, as `simulate` applies them.

import { describe, expect, test } from 'vitest'
import { searchSeeds } from '../../../jepsen-lite/simulation/seed-search.ts'
import { simulate, type World } from '../../../jepsen-lite/testing/index.ts'

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))
const forever = () => new Promise<never>(() => {})

/** `read` at each of these times. */
async function readings<T>(world: World, times: readonly number[], read: () => T): Promise<T[]> {
  const seen: T[] = []
  for (const ms of times) {
    await world.after(ms - world.now)
    seen.push(read())
  }
  return seen
}

describe('a fault that begins while another one strikes the same target', () => {
  test.each([
    ['crash', 'power-loss'],
    ['power-loss', 'crash'],
    ['stop', 'crash'],
    ['crash', 'stop'],
    ['stop', 'power-loss'],
  ])('holds a node down until both have ended: %s, %s', async (first, second) => {
    const schedule = `100 ${first} n1 for 500; 200 ${second} n1 for 1000`
    await simulate({ seed: 1, schedule }, async (world) => {
      const node = world.cluster.node('n1')
      const seen = await readings(world, [50, 550, 650, 1_150, 1_250], () => node.running)
      expect(seen).toEqual([true, false, false, false, true])
    })
  })

  test.each([
    '100 crash a for 1000; 200 crash a for 500',
    '100 crash a for 500; 200 crash a for 900',
    '100 crash a for 500; 600 crash a for 500',
  ])('holds a process down until both have ended: %s', async (schedule) => {
    await simulate({ seed: 1, schedule }, async (world) => {
      const process = world.process('a', forever)
      const seen = await readings(world, [50, 550, 650, 750, 1_050, 1_150], () => process.running)
      expect(seen).toEqual([true, false, false, false, false, true])
    })
  })

  test('pauses until both have ended', async () => {
    const schedule = '100 pause a,n1,n2,n3 for 500; 200 pause a,n1,n2,n3 for 1000'
    await simulate({ seed: 1, schedule }, async (world) => {
      let [ticks, writes] = [0, 0]
      world.process('a', async () => {
        for (; ; ticks++) await sleep(10)
      })
      world.process('b', async (self) => {
        const kv = self.client({ timeoutMs: 20_000 })
        for (; ; writes++) {
          await kv.put('key', 'value')
          await sleep(50)
        }
      })
      const seen = await readings(world, [250, 1_190, 4_000], () => [ticks, writes] as const)
      expect(seen[1]).toEqual(seen[0])
      expect(seen[2]?.[0]).toBeGreaterThan(100)
      expect(seen[2]?.[1]).toBeGreaterThan(seen[1]?.[1] ?? 0)
    })
  })

  test('slows a disk by the sum', async () => {
    const schedule = '100 slow-disk n1 by 40 for 1000; 600 slow-disk n1 by 80 for 1500'
    await simulate({ seed: 1, schedule, nodes: 1 }, async (world) => {
      let tookMs = 0
      world.process('a', async (self) => {
        const kv = self.client()
        for (;;) {
          const begun = world.now
          await kv.put('key', 'value')
          tookMs = world.now - begun
          await sleep(20)
        }
      })
      const seen = await readings(world, [90, 590, 1_090, 2_090, 3_000], () => Math.floor(tookMs / 40))
      // A put writes twice.
      expect(seen).toEqual([0, 2, 6, 4, 0])
    })
  })

  test('skews a clock by the product', async () => {
    const schedule = '1000 skew a by 1.5 for 2000; 2000 skew a by 2 for 2000'
    await simulate({ seed: 1, schedule }, async (world) => {
      let now = 0
      world.process('a', async () => {
        for (;;) {
          now = performance.now()
          await sleep(5)
        }
      })
      const seen = await readings(world, [1_100, 1_900, 2_100, 2_900, 3_100, 3_900, 4_100, 4_900], () => now)
      const rates = [0, 2, 4, 6].map((at) => ((seen[at + 1] ?? 0) - (seen[at] ?? 0)) / 800)
      expect(rates.map((rate) => rate.toFixed(1))).toEqual(['1.5', '3.0', '2.0', '1.0'])
    })
  })
})

test.each(['100 crash a for 50', '100 crash a for 500; 200 crash a for 500'])(
  'a process that has ended before it is killed does not begin anew: %s',
  async (schedule) => {
    let begun = 0
    await simulate({ seed: 1, schedule }, async (world) => {
      world.process('a', async () => {
        begun += 1
      })
      await world.after(1_000)
    })
    expect(begun).toBe(1)
  },
)

test('a short fault ends within a long one', async () => {
  const schedule = '100 stop n1 for 1000; 500 crash n1 for 100'
  await simulate({ seed: 1, schedule }, async (world) => {
    const node = world.cluster.node('n1')
    const seen = await readings(world, [50, 450, 550, 650, 1_050, 1_150], () => node.running)
    expect(seen).toEqual([true, false, false, false, false, true])
  })
})

test('a node that has not yet ended when its stop is over starts again', async () => {
  await simulate({ seed: 1, schedule: '100 stop n1,n2,n3 for 1' }, async (world) => {
    const { nodes } = world.cluster
    const running = () => nodes.filter((node) => node.running).length
    const [before, after] = await readings(world, [50, 20_000], running)
    expect([before, after]).toEqual([3, 3])
    await world.process('a', async (self) => void (await self.client().put('key', 'value'))).ended
  })
})

test('a paused node stops when it resumes', async () => {
  const schedule = '100 pause n2 for 1000; 500 stop n2 for 3000'
  await simulate({ seed: 1, schedule }, async (world) => {
    const node = world.cluster.node('n2')
    expect(await readings(world, [1_050, 2_000, 3_450, 3_550], () => node.running)).toEqual([
      true,
      false,
      false,
      true,
    ])
  })
})

test('a node that is still paused when its stop is over starts again, and runs on', async () => {
  const schedule = '100 pause n2 for 3000; 500 stop n2 for 500'
  const { history } = await simulate({ seed: 1, schedule }, async (world) => {
    const node = world.cluster.node('n2')
    expect(await readings(world, [950, 1_050, 5_000], () => node.running)).toEqual([true, true, true])
  })
  const states = history.read().notes.filter(({ node, time }) => node === 'n2' && time > 0)
  expect(states.filter(({ what }) => what !== 'role').map(({ what }) => what)).toEqual([
    'pause',
    'kill',
    'start',
  ])
})

test('a node that is named and leads is struck once', async () => {
  const schedule = '100 slow-link leader,n1 by 200 for 5000'
  await simulate({ seed: 1, schedule, nodes: 1 }, async (world) => {
    await world.after(200)
    let tookMs = 0
    const process = world.process('a', async (self) => {
      const begun = world.now
      await self.client().put('key', 'value')
      tookMs = world.now - begun
    })
    await process.ended
    expect(Math.floor(tookMs / 200)).toBe(2)
  })
})

test('a slow link of a node delays what it sends and what it receives', async () => {
  await simulate({ seed: 1, schedule: '100 slow-link leader by 200 for 5000' }, async (world) => {
    await world.after(200)
    let tookMs = 0
    const process = world.process('a', async (self) => {
      const kv = self.client({ endpoints: [world.cluster.leader()?.url ?? ''] })
      const begun = world.now
      await kv.put('key', 'value')
      tookMs = world.now - begun
    })
    await process.ended
    // The request, its entry, the answer of a follower and that to the client.
    expect(Math.floor(tookMs / 200)).toBe(4)
  })
})

/** Whether writes succeed before the fault ends, and what a stale read of a node returns then. */
async function duringFault(schedule: string, read: string): Promise<readonly [boolean, string]> {
  const seen: [boolean, string][] = []
  await simulate({ seed: 1, schedule }, async (world) => {
    const process = world.process('a', async (self) => {
      const writer = self.client({ timeoutMs: 30_000 })
      await writer.put('key', 'before')
      await sleep(5_010 - world.now)
      for (let n = 0; n < 10; n++) await writer.put('key', 'during')
      const isInTime = world.now < 60_000
      await sleep(5_000)
      const reader = self.client({ endpoints: [world.cluster.node(read).url] })
      const value = (await reader.get('key', { consistency: 'stale' }))?.value ?? []
      seen.push([isInTime, `${Buffer.from(value)}`])
    })
    await process.ended
  })
  return seen[0] ?? [false, '']
}

test.each([
  ['n1', 'n1'],
  ['n2', 'n2'],
  ['n3', 'n3'],
  ['n1,n2', 'n3'],
])('a partition of %s cuts both directions', async (on, minority) => {
  expect(await duringFault(`5000 partition ${on} for 60000`, minority)).toEqual([true, 'before'])
})

test('a process that is on the side of a node in a partition reaches it', async () => {
  await simulate({ seed: 1, schedule: '1000 partition n1,near for 60000' }, async (world) => {
    const reached: string[] = []
    const reader = (name: string) =>
      world.process(name, async (self) => {
        await sleep(2_000)
        for (const node of ['n1', 'n2']) {
          await using kv = self.client({ endpoints: [world.cluster.node(node).url], timeoutMs: 1_000 })
          await kv.get('key', { consistency: 'stale' }).then(
            () => reached.push(`${name} ${node}`),
            () => {},
          )
        }
      })
    for (const { ended } of [reader('near'), reader('both')]) await ended
    expect(reached.sort()).toEqual(['both n1', 'both n2', 'near n1'])
  })
})

test('a body that waits for ever is found also when faults of the schedule were to begin', async () => {
  const run = simulate({ seed: 1, schedule: '1000 crash n1 for 50' }, async (world) => {
    await world.eventually('nothing is left', () => true)
    await forever()
  })
  await expect(run).rejects.toMatchObject({ code: 'deadlock' })
})

test('nodes that cannot send to others send to each other', async () => {
  expect(await duringFault('5000 one-way n1,n2 for 60000', 'n3')).toEqual([true, 'before'])
})

test('a node that cannot send to others receives from them', async () => {
  expect(await duringFault('5000 one-way n3 for 60000', 'n3')).toEqual([true, 'during'])
})

test('only faults that strike somebody count', async () => {
  const schedule = '100 crash b for 50; 200 pause a for 50'
  const { faults } = await simulate({ seed: 1, schedule }, async (world) => {
    world.process('a', forever)
    await world.after(1_000)
  })
  expect(faults).toBe(1)
})

test('the result says from when on no fault begins, and a search draws faults for the time before', async () => {
  const run = (body: (world: World) => unknown) => simulate({ seed: 1 }, body)
  expect(await run((world) => world.after(500))).toMatchObject({ virtualMs: 500, faultsEndedMs: 500 })
  const settled = async (world: World) => {
    world.process('worker', forever)
    for (let time = 0; time < 2; time++) {
      await world.after(200)
      await world.eventually('no fault is left', () => true)
    }
    await world.after(5_000)
  }
  const { virtualMs, faultsEndedMs } = await run(settled)
  expect(virtualMs).toBeGreaterThan(5_000)
  expect(faultsEndedMs).toBe(200)
  const { faults } = await searchSeeds(
    (seed, schedule) => simulate({ seed, schedule }, settled),
    { seed: 1, seeds: 5 },
    () => {},
  )
  expect(faults).toBeGreaterThanOrEqual(5)
})
