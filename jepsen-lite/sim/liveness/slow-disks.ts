// When the disks of all nodes, or of all but one, need longer than an election timeout for every write, there is still
// a leader, and changes are made. In this test the leader dies while the disks are so slow, and comes back soon. No
// other node would do better, so a leader that gives up because of its slow disk would never commit.

import { bits, uniform } from '../../workload/random.ts'
import { proposeNothing } from '../clients/null-requests.ts'
import { RuleViolation } from '../oracle/violation.ts'
import { DRAW } from '../schedule/random-purposes.ts'
import type { SimCluster, Waits } from '../world/cluster.ts'
import type { Machine } from '../world/process.ts'

const TRIED_IN = 2
/** The duration of a write in shortest election timeouts. Beyond five no node leads. */
const WRITE_MIN = 1.1
const WRITE_MAX = 4
/** One after another. */
const CHANGES = 5
/** Limit until there is a leader and the changes are made: in longest election timeouts, and writes. */
const ELECTIONS_MAX = 60
const WRITES_MAX = 60

/** `cluster` is calm: it has a leader in `core`, and nothing is wrong. */
export function* leadsOnSlowDisks(cluster: SimCluster, core: readonly Machine[]): Waits {
  const { leader, time, config, seed, probeCoverage } = cluster
  if (leader === undefined || bits(seed, DRAW.core, 0, 7) % TRIED_IN > 0) return
  const share = uniform(seed, DRAW.core, 0, 8)
  const writeMs = config.electionMinMs * (WRITE_MIN + (WRITE_MAX - WRITE_MIN) * share)
  const fast = core[bits(seed, DRAW.core, 0, 9) % (2 * core.length)]
  // A node outside of the core may lead too. If it handed over each time its disk is short, each time an election of
  // several writes would follow.
  for (const { space } of cluster.machines) space.fixed = Number.POSITIVE_INFINITY
  for (const machine of core) {
    if (machine === fast) continue
    machine.slowFactor = writeMs / (config.writeMs + config.writeJitterMs)
    machine.slowUntil = Number.POSITIVE_INFINITY
  }
  cluster.kill(leader.machine, 'lost', bits(seed, DRAW.core, 0, 10) % 2 === 0, config.electionMaxMs)
  let made = 0
  let waitsUntil = 0
  let count = 0
  const began = time.now
  const isOver = cluster.polled(() => {
    const serving = cluster.leader?.serving
    if (serving === undefined || time.now < waitsUntil) return made >= CHANGES
    waitsUntil = time.now + 10 * writeMs
    proposeNothing(cluster, serving, `slow.${count++}`, 10 * writeMs, ({ ok }) => {
      made += Number(ok)
      waitsUntil = 0
    })
    return made >= CHANGES
  })
  yield { until: began + ELECTIONS_MAX * config.electionMaxMs + WRITES_MAX * writeMs, isOver }
  for (const machine of core) machine.slowUntil = 0
  if (made >= CHANGES) {
    probeCoverage.hit('led on slow disks')
    return
  }
  throw new RuleViolation(
    'LIVE-5',
    `each write takes ${Math.round(writeMs)} ms${fast === undefined ? '' : ` but at ${fast.name}`}, and in ${Math.round(time.now - began)} ms ${made} of ${CHANGES} changes were made (${core.map(({ state }) => state).join('; ')})`,
  )
}
