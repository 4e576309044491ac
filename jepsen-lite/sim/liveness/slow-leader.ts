// A leader whose disk is evenly slow hands over, if the other disks are faster and clients send more than it stores.
// No write of it takes as long as an election timeout, so its disk does not stall. What it accepts in the meantime is
// bounded, as always (`counter-bounds.ts`). Afterwards the former leader serves reads, while its disk is as slow.

import { proposeNothing } from '../clients/null-requests.ts'
import { RuleViolation } from '../oracle/violation.ts'
import { ENTRY_BYTES, slowestAppendMs } from '../schedule/config.ts'
import type { SimCluster, Waits } from '../world/cluster.ts'
import type { Machine, Process } from '../world/process.ts'
import { IO } from '../world/time.ts'

/** The duration of a write in shortest election timeouts. */
const WRITE = 0.6
/** The other disks are so many times faster, and clients send so many times more than the slow disk stores. */
const FASTER = 8
const SENT = 4
/** A slow disk must not be able to store more at once, or the requests would cost too many events. */
const ENTRIES_MAX = 10
/** Bytes of an entry, at least. */
const ENTRY_BYTES_MIN = 50
/** In longest election timeouts: what the leader accepts keeps its disk busy so long; and limit for the hand-over. */
const BACKLOG = 4
const HAND_OVER = 12
/** In longest election timeouts: limit for a read at the former leader, after its clients have stopped. */
const SERVES = 12

/** `cluster` is calm: it has a leader in `core`, and nothing is wrong. */
export function* handsOverFromSlowDisk(cluster: SimCluster, core: readonly Machine[]): Waits {
  const { leader, time, config, probeCoverage } = cluster
  const driver = leader?.driver
  if (leader === undefined || driver === undefined) return
  const { configuration } = driver
  const others = core.filter((machine) => machine !== leader.machine && machine.votesIn(configuration))
  if (2 * others.length <= configuration.voters.length) return
  const { electionMinMs, electionMaxMs } = config
  const { limits } = leader.machine
  const writeMs = WRITE * electionMinMs
  const usualMs = config.writeMs + config.writeJitterMs
  const entries = Math.max(
    1,
    Math.min(limits.batchItemsMax, Math.floor(limits.batchBytesMax / ENTRY_BYTES_MIN)),
  )
  const accepted = Math.min(
    ...[limits.uncommittedEntriesMax, limits.proposalsMax],
    // A leader whose rows wait for its disk answers, and then accepts, no faster than its disk is.
    Math.min(limits.uncommittedBytesMax, limits.proposalBytesMax, limits.overlayBytesMax) / ENTRY_BYTES,
    limits.proposedBytesMax / ENTRY_BYTES,
  )
  if (entries > ENTRIES_MAX || FASTER * usualMs > writeMs) return
  const meanMs = (writeMs * (config.writeMs + config.writeJitterMs / 2)) / usualMs
  if ((accepted / entries) * meanMs < BACKLOG * electionMaxMs) return
  const everyMs = writeMs / entries / SENT
  // The other disks must get what clients send.
  if (2 * slowestAppendMs(config, limits) > everyMs) return
  for (const { space } of cluster.machines) space.fixed = Number.POSITIVE_INFINITY
  const { machine } = leader
  machine.slowFactor = writeMs / usualMs
  machine.slowUntil = Number.POSITIVE_INFINITY
  const until = time.now + HAND_OVER * electionMaxMs
  let count = 0
  const write = (): void => {
    if (leader.serving === undefined || cluster.leader !== leader || time.now >= until) return
    proposeNothing(cluster, leader.serving, `slow-leader.${count++}`, electionMaxMs)
    time.push(time.now + everyMs, IO, undefined, write)
  }
  write()
  const isOver = cluster.polled(() => cluster.leader !== undefined && cluster.leader !== leader)
  yield { until, isOver }
  if (cluster.leader !== leader) {
    probeCoverage.hit('handed over from a slow disk')
    yield* servesReads(cluster, leader)
    machine.slowUntil = 0
    return
  }
  machine.slowUntil = 0
  const { commit, lastIndex, stableIndex } = driver.status().raft
  throw new RuleViolation(
    'LIVE-9',
    `each write takes ${Math.round(writeMs)} ms at ${leader.name} only, and after ${count} changes it still leads (commit ${commit} and stored ${stableIndex} of ${lastIndex})`,
  )
}

function* servesReads(cluster: SimCluster, former: Process): Waits {
  const { time, config } = cluster
  let isServed = false
  const read = (): void => {
    if (isServed || former.serving === undefined) return
    const options = { consistency: 'linearizable', timeoutMs: config.electionMaxMs } as const
    former.serving.read(options, ({ ok }) => {
      isServed ||= ok
      // One that was refused at once is tried again after a while.
      time.push(time.now + config.electionMinMs, IO, undefined, read)
    })
  }
  read()
  const isOver = cluster.polled(() => isServed || former.serving === undefined)
  yield { until: time.now + SERVES * config.electionMaxMs, isOver }
  if (isServed || former.serving === undefined) return
  throw new RuleViolation(
    'LIVE-11',
    `${former.name} has handed over because of its slow disk, and serves no read for ${SERVES * config.electionMaxMs} ms`,
  )
}
