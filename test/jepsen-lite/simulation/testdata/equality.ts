// Prints the outcome of one run for each seed: two workers take turns with a lock, under a drawn schedule of faults.

import { drawSchedule } from '../../../../jepsen-lite/simulation/schedule/draw.ts'
import { SimulationError, simulate, type World } from '../../../../jepsen-lite/testing/index.ts'
import { Random } from '../../../../jepsen-lite/workload/random.ts'
import { lock } from '../../../../src/recipes/index.ts'

const [, , count] = process.argv

async function takeTurns(world: World): Promise<void> {
  const done = new Set<string>()
  for (const name of ['a', 'b'])
    world.process(name, async (self) => {
      const kv = self.client()
      while (!done.has(name)) {
        try {
          const held = await lock(kv, 'job', { signal: self.signal })
          await new Promise((resolve) => setTimeout(resolve, 500 + 500 * Math.random()))
          await held.put('owner', `${name} ${Date.now()}`)
          await held.release()
          done.add(name)
        } catch (error) {
          console.log(String(error))
        }
      }
      await kv.close()
    })
  await world.after(10_000)
  await world.eventually('both have had their turn', () => done.size === 2)
}

for (let seed = 1; seed <= Number(count); seed++) {
  const schedule = drawSchedule(new Random(seed), { nodes: 3, processes: ['a', 'b'] })
  const outcome = await simulate({ seed, schedule }, takeTurns).then(
    ({ traceHash, virtualMs, events }) => `${traceHash} ${virtualMs} ${events}`,
    (error: unknown) => {
      if (!(error instanceof SimulationError)) throw error
      return `${error.code} ${error.virtualMs} ${error.trace.join(' | ')}`
    },
  )
  console.log(seed, outcome)
}
