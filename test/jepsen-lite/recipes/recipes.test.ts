// Clients that use recipes, on simulated clusters: the shipped recipes and the shipped client library.

import { describe, expect, onTestFinished, test } from 'vitest'
import { generateRecipe } from '../../../jepsen-lite/recipes/generate.ts'
import { judgedAny, RecipeSearch } from '../../../jepsen-lite/recipes/index.ts'
import { runRecipes, WHILE_HOLDING } from '../../../jepsen-lite/recipes/run.ts'
import { parseSchedule, RECIPES, type Recipe } from '../../../jepsen-lite/sim/index.ts'
import { runs } from '../../runs.ts'

const SCHEDULES = runs(5)
/** `npm run test:long` sets QUORATE_LONG. */
const IS_LONG = process.env.QUORATE_LONG === '1'
const SEED = Math.floor(Math.random() * 2 ** 31)
/** The recipe that random schedules use in this run: each is used in `npm run test:long`. */
const DRAWN = RECIPES[SEED % RECIPES.length]
/** Short schedules in which clients reach much. */
const SEEDS = { lock: 349, queue: 57, election: 19 } as const

const violationOf = async (seed: number, recipe: Recipe) =>
  (await judgedAny(generateRecipe(seed, recipe))).violation

test.each(RECIPES.filter((recipe) => IS_LONG || recipe === DRAWN))(
  'clients that use the recipe %s keep its promises while they are stopped, killed and cut off, and the cluster breaks',
  async (recipe) => {
    console.log(`seed ${SEED}`)
    const search = new RecipeSearch(3, recipe)
    for (let at = 0; at < SCHEDULES; at++) {
      const found = await search.runRecipe(SEED + at)
      expect(
        found?.violation,
        `jepsen-lite sim --nodes 3 --workload ${recipe} --seed ${SEED + at}`,
      ).toBeUndefined()
    }
  },
)

describe.each(RECIPES)('clients that use the recipe %s', (recipe) => {
  test('do the same in each run of a schedule, also of one that was read from a file', async () => {
    const schedule = generateRecipe(SEEDS[recipe], recipe)
    // One recipe shows that a run repeats.
    const isRepeated = recipe === 'queue' || IS_LONG
    const first = isRepeated ? await runRecipes(schedule) : undefined
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

// Found by this search.
test('a queue whose items could not be put back takes none with a lower priority before them', async () => {
  expect(await violationOf(2, 'queue')).toBeUndefined()
})

test('a queue becomes empty where a majority needs a replica whose disk was short of space during the faults', async () => {
  expect(await violationOf(1_344_815_284, 'queue')).toBeUndefined()
})

test('clients that wait for a lock of a cluster without a majority break no promise', async () => {
  const result = await runRecipes(generateRecipe(1_175_070_249, 'lock'))
  expect(result.violation).toBeUndefined()
  expect(result.verdict).toBe('undecided')
})
