// A replica keeps learning a new bound on the age of its state even if it never catches up. In this test one follower
// applies more slowly than entries arrive, and falls behind more and more for a while. Its bound may be old, but must
// not stand still.

import { isVoter } from '../../../src/raft/index.ts'
import { bits } from '../../workload/random.ts'
import { proposeNothing } from '../clients/null-requests.ts'
import { RuleViolation } from '../oracle/violation.ts'
import { DRAW } from '../schedule/random-purposes.ts'
import type { SimCluster, Waits } from '../world/cluster.ts'
import type { Machine } from '../world/process.ts'
import { IO } from '../world/time.ts'

const TRIED_IN = 4
/**
 * In heartbeats: how long the test lasts, and how long the follower takes for every second entry. One entry comes with
 * each heartbeat.
 */
const LASTS = 40
const APPLY = 2
/**
 * The follower has applied half of the entries, so it knows of contacts in the first half of the time. The rest allows
 * for messages in flight.
 */
const PART_MAX = 0.85
const PATIENCE_MS = 600_000

/** `cluster` is calm: it has a leader in `core`, and nothing is wrong. */
export function* staysFresh(cluster: SimCluster, core: readonly Machine[]): Waits {
  const { leader, time, config, seed, probeCoverage } = cluster
  const driver = leader?.driver
  if (leader === undefined || driver === undefined || bits(seed, DRAW.core, 0, 5) % TRIED_IN > 0) return
  const lagging = core.find(
    ({ process }) =>
      process?.driver !== undefined && process !== leader && isVoter(driver.configuration, process.id),
  )
  const follower = lagging?.process?.driver
  if (lagging === undefined || follower === undefined) return
  const lastsMs = LASTS * config.heartbeatMs
  const [began, until] = [time.now, time.now + lastsMs]
  lagging.applyMs = APPLY * config.heartbeatMs
  lagging.applyUntil = until
  let count = 0
  const write = (): void => {
    if (leader.serving !== undefined) proposeNothing(cluster, leader.serving, `lag.${count++}`, PATIENCE_MS)
    if (time.now < until) time.push(time.now + config.heartbeatMs, IO, undefined, write)
  }
  write()
  yield { until }
  if (cluster.leader !== leader || lagging.process?.driver !== follower) return
  probeCoverage.hit('lagged behind and stayed fresh')
  const localMs = lagging.clock.at(time.now) - lagging.clock.at(began)
  const { stalenessMs, applied, commit } = follower.status().raft
  if (stalenessMs !== undefined && stalenessMs <= PART_MAX * localMs) return
  throw new RuleViolation(
    'LIVE-4',
    `${lagging.name} has followed for ${Math.round(localMs)} ms and applied up to ${applied} of ${commit}, and knows of no newer state than ${stalenessMs} ms ago`,
  )
}
