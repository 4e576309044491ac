// Clients that use recipes, on simulated clusters: the shipped recipes and the shipped client library.

import { randomInt } from 'node:crypto'
import { describe, expect, onTestFinished, test } from 'vitest'
import { generateRecipe } from '../../../jepsen-lite/recipes/generate.ts'
import { RecipeSearch } from '../../../jepsen-lite/recipes/index.ts'
import { runRecipes, WHILE_HOLDING } from '../../../jepsen-lite/recipes/run.ts'
import { parseSchedule, RECIPES } from '../../../jepsen-lite/sim/index.ts'
import { IO } from '../../../jepsen-lite/sim/world/time.ts'

/** Short schedules in which clients reach much. */
const SEEDS = { lock: 7, queue: 57, election: 19 } as const

test('clients that use a recipe keep its promises while they are stopped, killed and cut off, and the cluster breaks', async () => {
  const seed = randomInt(2 ** 31)
  // The long test has each recipe.
  const recipe = RECIPES[seed % RECIPES.length] ?? 'lock'
  console.log(`seed ${seed}`)
  const found = await new RecipeSearch(3, recipe).runRecipe(seed)
  expect(found?.violation, `jepsen-lite sim --nodes 3 --workload ${recipe} --seed ${seed}`).toBeUndefined()
})

describe.each(RECIPES)('clients that use the recipe %s', (recipe) => {
  test('do the same in each run of a schedule, also of one that was read from a file', async () => {
    const schedule = generateRecipe(SEEDS[recipe], recipe)
    // One recipe shows that a run repeats. The long test shows it of each.
    const first = recipe === 'queue' ? await runRecipes(schedule) : undefined
    const read = parseSchedule(JSON.stringify({ schedule }))
    expect(read).toEqual(schedule)
    const before = [setTimeout, clearTimeout, Math.random]
    onTestFinished(() => {
      Object.assign(globalThis, { setTimeout: before[0], clearTimeout: before[1] })
    })
    const { trace, history, violation, ok, faults } = await runRecipes({ ...read, recipe: schedule.recipe })
    // The process of the test has its own timers again.
    expect([setTimeout, clearTimeout, Math.random]).toEqual(before)
    const now = performance.now()
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect(performance.now()).toBeGreaterThan(now)
    expect(violation).toBeUndefined()
    if (first !== undefined)
      expect({ trace, history }).toEqual({ trace: first.trace, history: first.history })
    const kinds = history.map((event) => (event.type === 'invoke' ? event.op.f : event.type))
    expect(kinds).toEqual(
      expect.arrayContaining(recipe === 'queue' ? ['push', 'pop', 'ack'] : ['lock', 'guarded-put']),
    )
    expect(kinds.filter((kind) => kind === 'ok').length).toBeGreaterThan(30)
    // The output of a search.
    expect(ok).toBe(kinds.filter((kind) => kind === 'ok').length)
    const clientFaults = history.filter(
      (event) => event.type === 'note' && /^clients (stop|kill)$/.test(event.what),
    )
    expect((faults['clients stop'] ?? 0) + (faults['clients kill'] ?? 0)).toBe(clientFaults.length)
    expect(faults[WHILE_HOLDING]).toBeLessThanOrEqual(clientFaults.length)
  })
})

test('clients that wait for a lock of a cluster without a majority break no promise', async () => {
  const schedule = generateRecipe(SEEDS.lock, 'lock')
  const { ms, nodes } = schedule.config
  const result = await runRecipes(schedule, ({ atMs, cluster }) => {
    if (atMs < ms / 2) return
    for (const machine of cluster.machines.slice(0, Math.ceil(nodes / 2))) {
      if (cluster.frozen.has(machine)) continue
      cluster.frozen.add(machine)
      cluster.time.push(atMs, IO, undefined, () => cluster.end(machine, 'lost'))
    }
  })
  expect(result.violation).toBeUndefined()
  expect(result.verdict).toBe('undecided')
})
