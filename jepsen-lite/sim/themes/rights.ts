// Users with rights: who may do what changes all the time, most often while their changes are on the way.

import type { Random } from '../../workload/random.ts'
import type { Trigger } from '../faults/trigger-wait.ts'
import type { SimConfig } from '../schedule/config.ts'
import type { RightsOp, ScheduledOp } from '../schedule/schedule.ts'

/** How often a run has them, and about how many groups of them. */
const ODDS = 0.2
const GROUPS = 40
/** From which time on rights are checked: after the first election. */
const FROM_MS = 700

/** A right ends here, while changes are forwarded, or wait in a log. */
const TRIGGERS: readonly Trigger[] = ['elected', 'deposed', 'started', 'installed', 'committed', 'leaderless']

export function drawRights(rng: Random, config: SimConfig): ScheduledOp[] {
  if (!rng.chance(ODDS)) return []
  const { ms, clients, keys, nodes, spares } = config
  const draw = (at: number, kind: RightsOp): ScheduledOp => ({
    at: Math.round(at),
    kind,
    client: rng.int(0, clients),
    key: rng.int(0, keys),
    x: rng.int(0, 100_000),
    node: rng.chance(kind === 'rights' ? 0.7 : 0.2) ? 'leader' : rng.int(0, nodes + spares),
  })
  // The first ones make root, and users with roles.
  const ops = Array.from({ length: 12 }, (_, at) => draw(FROM_MS + 100 * at, 'rights'))
  for (let at = 2 * FROM_MS; at < ms; at += rng.ms(20, (2 * ms) / GROUPS)) {
    const when = rng.chance(0.3) ? { when: rng.pick(TRIGGERS), after: rng.pick([0, 0, rng.ms(0, 200)]) } : {}
    for (let count = rng.int(1, 6); count > 0; count--)
      ops.push({ ...draw(at + rng.ms(0, 40), 'permitted'), ...when })
    for (let count = rng.int(0, 3); count > 0; count--)
      ops.push({ ...draw(at + rng.ms(0, 60), 'rights'), ...when })
  }
  return ops.filter(({ at }) => at < ms)
}
