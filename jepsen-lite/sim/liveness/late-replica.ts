// A replica that was away catches up while changes are made. The leader may have compacted its log, and the transfer
// of a snapshot may take longer than the log is kept for it.

import { bits } from '../../workload/random.ts'
import { proposeNothing } from '../clients/null-requests.ts'
import { RuleViolation } from '../oracle/violation.ts'
import { ENTRY_BYTES, slowestAppendMs, slowestSnapshotMs } from '../schedule/config.ts'
import { DRAW } from '../schedule/random-purposes.ts'
import type { SimCluster, Waits } from '../world/cluster.ts'
import type { Machine } from '../world/process.ts'
import { IO } from '../world/time.ts'

const AWAY_ELECTIONS = 4
/** Limit until it has caught up, in longest election timeouts, and in snapshots. */
const ELECTIONS_MAX = 40
const SNAPSHOTS_MAX = 6
/** The leader keeps at most so many times the usual log for it (`log-retention.ts`). */
const KEPT_MAX = 64
/** Entries of which its leader does not know yet that it has them. */
const BEHIND_MAX = 5
const PATIENCE_MS = 600_000

/** `cluster` is calm: it has a leader in `core`, and nothing is wrong. */
export function* catchesUpUnderLoad(cluster: SimCluster, core: readonly Machine[]): Waits {
  const { leader, time, config, seed, probeCoverage } = cluster
  const driver = leader?.driver
  if (leader === undefined || driver === undefined) return
  const { configuration } = driver
  const voters = core.filter((machine) => machine.votesIn(configuration))
  const away = voters.find((machine) => machine !== leader.machine)
  if (away === undefined || 2 * (voters.length - 1) <= configuration.voters.length) return
  const { electionMaxMs, electionMinMs, heartbeatMs } = config
  const { limits } = leader.machine
  const writeMs = config.writeMs + config.writeJitterMs
  const transferMs = slowestSnapshotMs(config, limits, away.disk.rowCount)
  const kept = KEPT_MAX * Math.min(limits.logBehindEntries, limits.logBehindBytes / ENTRY_BYTES)
  // A follower counts as caught up when it is behind by less than an election timeout. The log is long enough for
  // that.
  const caughtUpMs = (2 * KEPT_MAX * electionMinMs) / kept
  const usualMs = Math.max(writeMs, slowestAppendMs(config, limits))
  const everyMs = Math.max(heartbeatMs / 4, 4 * usualMs, (4 * transferMs) / kept, caughtUpMs)
  if (everyMs > electionMaxMs) return
  for (const { space } of cluster.machines) space.fixed = Number.POSITIVE_INFINITY
  cluster.kill(away, 'lost', bits(seed, DRAW.core, 0, 16) % 2 === 0, AWAY_ELECTIONS * electionMaxMs)
  const began = time.now
  let count = 0
  let isOver = false
  const write = (): void => {
    const serving = cluster.leader?.serving
    if (serving !== undefined) proposeNothing(cluster, serving, `late.${count++}`, PATIENCE_MS)
    if (!isOver) time.push(time.now + everyMs, IO, undefined, write)
  }
  write()
  const applied = (): number => away.process?.driver?.status().raft.applied ?? 0
  const hasCaughtUp = (): boolean =>
    away.process?.driver !== undefined &&
    applied() + BEHIND_MAX >= (cluster.leader?.driver?.status().raft.applied ?? Number.POSITIVE_INFINITY)
  const until = began + ELECTIONS_MAX * electionMaxMs + SNAPSHOTS_MAX * transferMs
  yield { until, isOver: cluster.polled(hasCaughtUp) }
  isOver = true
  if (hasCaughtUp()) {
    probeCoverage.hit('caught up under load')
    return
  }
  const status = cluster.leader?.driver?.status()
  throw new RuleViolation(
    'LIVE-10',
    `a change is made every ${Math.round(everyMs)} ms, and in ${Math.round(time.now - began)} ms ${away.name} has applied ${applied()} of ${status?.raft.applied} (${status?.errors.join('; ')})`,
  )
}
