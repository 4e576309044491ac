// Schedules of faults, as `simulate` applies them.

import { describe, expect, test } from 'vitest'
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
  ])('holds a node down until both have ended: %s, %s', async (first, second) => {
    const schedule = `100 ${first} n1 for 500; 200 ${second} n1 for 1000`
    await simulate({ seed: 1, schedule }, async (world) => {
      const node = world.cluster.node('n1')
      const seen = await readings(world, [50, 550, 650, 1_150, 1_250], () => node.running)
      expect(seen).toEqual([true, false, false, false, true])
    })
  })

  test('holds a process down until both have ended', async () => {
    const schedule = '100 crash a for 1000; 200 crash a for 500'
    await simulate({ seed: 1, schedule }, async (world) => {
      const process = world.process('a', forever)
      const seen = await readings(world, [50, 650, 750, 1_050, 1_150], () => process.running)
      expect(seen).toEqual([true, false, false, false, true])
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

test('a process that has ended before it is killed does not begin anew', async () => {
  let begun = 0
  await simulate({ seed: 1, schedule: '100 crash a for 50' }, async (world) => {
    world.process('a', async () => {
      begun += 1
    })
    await world.after(1_000)
  })
  expect(begun).toBe(1)
})
