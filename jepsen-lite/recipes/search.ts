// The search with clients that use a recipe, and what judges any schedule.

import { NOTHING_RARE } from '../sim/coverage.ts'
import { type CheckedRun, judged } from '../sim/judged-run.ts'
import { replay } from '../sim/replay.ts'
import { type RunResult, runSchedule } from '../sim/run.ts'
import type { Recipe, Schedule } from '../sim/schedule/schedule.ts'
import { describeDifference, type FoundViolation, REPEATED_EVERY, Search } from '../sim/search.ts'
import { generateRecipe } from './generate.ts'
import { isRecipeSchedule, runRecipes } from './run.ts'

/** Runs a schedule, with or without such clients, and judges what its clients saw. */
export const judgedAny = async (schedule: Schedule): Promise<CheckedRun> =>
  isRecipeSchedule(schedule) ? await runRecipes(schedule) : judged(schedule)

/** Passes each line to `print` when it is made. */
export const replayAny = async (schedule: Schedule, print: (line: string) => void): Promise<RunResult> =>
  replay(schedule, print, (watch) =>
    isRecipeSchedule(schedule) ? runRecipes(schedule, watch) : runSchedule(schedule, watch),
  )

export class RecipeSearch extends Search {
  readonly #recipe: Recipe

  constructor(nodes: number, recipe: Recipe) {
    super(nodes)
    this.#recipe = recipe
  }

  /** `twice`: runs the schedule twice to show that both runs are the same. By default this is done for one in many. */
  async runRecipe(seed: number, twice = false): Promise<FoundViolation | undefined> {
    const number = this.schedules++
    const schedule = generateRecipe(seed, this.#recipe, this.nodes)
    const result = await runRecipes(schedule)
    this.count(result)
    let { violation } = result
    if (violation === undefined && (twice || number % REPEATED_EVERY === REPEATED_EVERY / 2)) {
      this.repeated++
      violation = describeDifference(schedule, result, await runRecipes(schedule))
    }
    return violation && this.find({ seed, rare: NOTHING_RARE, schedule, result, violation })
  }
}
