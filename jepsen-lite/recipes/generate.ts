// Schedules with clients that use a recipe: the cluster and its faults are those of any schedule. In place of its
// requests there are those clients, and what is done to their processes: mostly longer than what they hold lasts.

import type { Trigger } from '../sim/faults/trigger-wait.ts'
import type { SimConfig } from '../sim/schedule/config.ts'
import { generate } from '../sim/schedule/generate.ts'
import { DRAW } from '../sim/schedule/random-purposes.ts'
import type { Recipe } from '../sim/schedule/schedule.ts'
import { CLIENT_FAULTS, type ClientFault, type ScheduledOp } from '../sim/schedule/schedule.ts'
import { Random } from '../workload/random.ts'
import type { RecipeSchedule } from './run.ts'

const PROCESSES = [2, 3, 4]
/** Such a run takes longer than others, and its clients do much in little time. */
const MS_MAX = 20_000
/** How long a fault lasts. Leases live for 2 s, mostly. */
const SHORT_MS = [50, 1_500] as const
const LONG_MS = [2_000, 6_000] as const
/** Something is done to a client when this happens to the cluster. */
const TELLING: readonly Trigger[] = ['elected', 'deposed', 'died', 'installed', 'compacted']

export function generateRecipe(seed: number, name: Recipe, nodes = 3): RecipeSchedule {
  const base = generate(seed, nodes)
  const rng = new Random(seed, DRAW.recipe, 0)
  const config = { ...base.config, ms: Math.min(base.config.ms, MS_MAX) }
  return {
    ...base,
    config,
    ops: drawCompactions(rng, config),
    recipe: { name, processes: rng.pick(PROCESSES), faults: drawFaults(rng, config.ms, nodes) },
  }
}

function drawFaults(rng: Random, ms: number, nodes: number): ClientFault[] {
  const kinds = CLIENT_FAULTS.filter(() => rng.chance(0.8))
  const faults: ClientFault[] = []
  const everyMs = rng.pick([1_000, 3_000, 6_000])
  for (let at = 1_000; kinds.length > 0 && at < ms; at += rng.ms(100, 2 * everyMs)) {
    const [least, most] = rng.chance(0.6) ? LONG_MS : SHORT_MS
    const when = rng.chance(0.3) ? { when: rng.pick(TELLING), after: rng.pick([0, 0, 100]) } : {}
    faults.push({
      at,
      kind: rng.pick(kinds),
      client: rng.below(100),
      ms: rng.int(least, most),
      node: rng.chance(0.5) ? 'leader' : rng.below(nodes),
      ...when,
    })
  }
  return faults
}

/**
 * History ends under watches that wait. No settings change: a store without leases would let no client of a recipe
 * begin, and it would stay so after the faults.
 */
function drawCompactions(rng: Random, config: SimConfig): ScheduledOp[] {
  const ops: ScheduledOp[] = []
  const everyMs = rng.pick([1_000, 10_000, 100_000])
  for (let at = everyMs; at < config.ms; at += rng.ms(1, 2 * everyMs))
    ops.push({
      at,
      kind: 'compact',
      client: rng.below(config.clients),
      node: 'leader',
      key: 0,
      x: rng.below(1_000),
    })
  return ops
}
