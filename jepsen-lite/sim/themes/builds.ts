// Clusters in the middle of an upgrade: some machines have a build that knows cluster version 1 alone. Builds change in
// both directions at any event, and an operator raises the cluster version at any event.

import type { Random } from '../../workload/random.ts'
import { drawAction } from '../faults/fault-builders.ts'
import type { SimFault } from '../faults/fault-kinds.ts'
import { TRIGGERS } from '../faults/trigger-wait.ts'
import type { SimConfig } from '../schedule/config.ts'

export const buildsConfig = (rng: Random, config: SimConfig): SimConfig =>
  rng.chance(0.15) ? { ...config, clusterVersion: 1, olderFrom: rng.int(0, config.nodes + 1) } : config

export function drawBuilds(rng: Random, config: SimConfig): SimFault[] {
  if (config.clusterVersion === undefined) return []
  const faults: SimFault[] = []
  const meanMs = rng.pick([0.01, 0.02, 0.05]) * config.ms
  // Before, builds change in both directions; afterwards all become newer.
  const upAt = rng.int(1000, config.ms)
  for (let at = 1000; at < config.ms; at += rng.ms(20, 2 * meanMs)) {
    const action = drawAction('build', { rng, config, longMs: 2000 })
    faults.push({ at: Math.round(at), ...waits(rng), ...action, ...(at > upAt && { older: false }) })
  }
  // It is refused while a member is older, so the operator tries again.
  for (let at = rng.int(1000, upAt + 1); at < config.ms; at += rng.ms(20, 2 * meanMs))
    faults.push({ at: Math.round(at), ...waits(rng), ...drawAction('raise', { rng, config, longMs: 2000 }) })
  return faults
}

const waits = (rng: Random): Pick<SimFault, 'when' | 'after'> =>
  rng.chance(0.5) ? { when: rng.pick(TRIGGERS), after: rng.ms(0, 50) } : {}
