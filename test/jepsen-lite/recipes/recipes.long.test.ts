// More schedules of clients that use recipes than recipes.test.ts has, and those that once found a bug.

import { randomInt } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { generateRecipe } from '../../../jepsen-lite/recipes/generate.ts'
import { judgedAny, RecipeSearch } from '../../../jepsen-lite/recipes/index.ts'
import { RECIPES, type Recipe } from '../../../jepsen-lite/sim/index.ts'
import { runs } from '../../runs.ts'

const SCHEDULES = runs(5)

describe.each(RECIPES)('clients that use the recipe %s', (recipe) => {
  test('keep its promises while they are stopped, killed and cut off, and the cluster breaks', async () => {
    const seed = randomInt(2 ** 31)
    console.log(`seed ${seed}`)
    const search = new RecipeSearch(3, recipe)
    for (let at = 0; at < SCHEDULES; at++) {
      // Each run is the same when it is repeated.
      const found = await search.runRecipe(seed + at, at === 0)
      expect(
        found?.violation,
        `jepsen-lite sim --nodes 3 --workload ${recipe} --seed ${seed + at}`,
      ).toBeUndefined()
    }
  })
})

const violationOf = async (seed: number, recipe: Recipe) =>
  (await judgedAny(generateRecipe(seed, recipe))).violation

test('a queue whose items could not be put back takes none with a lower priority before them', async () => {
  expect(await violationOf(2, 'queue')).toBeUndefined()
})

test('a queue becomes empty where a majority needs a replica whose disk was short of space during the faults', async () => {
  expect(await violationOf(1_344_815_284, 'queue')).toBeUndefined()
})
