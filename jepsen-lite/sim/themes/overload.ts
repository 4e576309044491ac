// Scenarios about load. Clients send more than a disk can store, without a pause, while disks are evenly slow: that of
// the leader, that of a follower, or all. A write takes less than an election timeout, so no disk stalls. Followers
// die, and catch up under the load. `counter-bounds.ts` checks that nothing grows beyond its bound.

import type { Random } from '../../workload/random.ts'
import { dies, follower, whole } from '../faults/fault-builders.ts'
import type { SimFault } from '../faults/fault-kinds.ts'
import type { SimConfig } from '../schedule/config.ts'
import type { ScheduledOp } from '../schedule/schedule.ts'
import type { MachineTarget } from '../schedule/shape.ts'
import { usualLimits } from '../world/node-limits.ts'

/** Each sends one request at a time. */
const WRITERS = 32

export function overloadConfig(rng: Random, config: SimConfig): SimConfig {
  const { limits } = config
  return {
    ...config,
    ms: 30_000,
    grow: 0,
    clients: WRITERS,
    keys: rng.pick([20, 40]),
    timeoutMs: rng.pick([1000, 5000]),
    harsh: 0,
    lost: 0,
    doubled: 0,
    reordered: 0,
    silenceMs: 3000,
    tail: 0,
    delayMs: rng.pick([0.2, 1, 5]),
    jitterMs: rng.pick([0.3, 1]),
    writeMs: rng.pick([0.5, 2, 8]),
    writeJitterMs: rng.pick([0, 1]),
    limits: {
      ...limits,
      // A slow disk stores few entries in a second. The others store more than clients send.
      batchItemsMax: rng.pick([1, 3, 10]),
      proposalsMax: rng.pick([WRITERS, usualLimits.proposalsMax]),
      uncommittedBytesMax: rng.pick([2000, 20_000]),
      inflightBytesMax: rng.pick([300, 2000]),
      appendBytesMax: 400,
      inflightMessagesMax: rng.pick([4, usualLimits.inflightMessagesMax]),
      uncommittedEntriesMax: rng.pick([10, 100]),
      overlayBytesMax: rng.pick([1, 1000, 20_000]),
      proposedBytesMax: rng.pick([2000, usualLimits.proposedBytesMax]),
      logTailEntries: rng.pick([0, 5]),
      logBehindEntries: rng.pick([10, 30]),
      compactEntriesMin: 1,
      chunkRows: rng.pick([1, 2, 5]),
    },
  }
}

type Scenario = (rng: Random, config: SimConfig, at: number) => SimFault[]

export function drawOverload(rng: Random, config: SimConfig): SimFault[] {
  const scenarios: readonly Scenario[] = [
    slowLeader,
    slowLeader,
    slowFollower,
    slowDisks,
    catchesUp,
    catchesUp,
  ]
  const faults: SimFault[] = []
  for (let at = 2000; at < config.ms; at += rng.int(4, 12) * config.electionMaxMs) {
    const scenario = scenarios[rng.int(0, scenarios.length)]
    if (scenario !== undefined) faults.push(...scenario(rng, config, at))
  }
  return faults.map(whole)
}

/** A disk that needs from one heartbeat to most of an election timeout for every write. */
function slowly(rng: Random, config: SimConfig, at: number, target: MachineTarget): SimFault {
  const { electionMinMs, electionMaxMs, heartbeatMs, writeJitterMs, writeMs } = config
  const ms = rng.int(4, 12) * electionMaxMs
  const writeTakesMs = heartbeatMs + (0.8 * electionMinMs - heartbeatMs) * (rng.int(0, 100) / 100)
  return { at, kind: 'slow-disk', target, factor: Math.ceil(writeTakesMs / (writeMs + writeJitterMs)), ms }
}

const slowLeader: Scenario = (rng, config, at) => {
  const slow = slowly(rng, config, at, 'leader')
  const { electionMaxMs } = config
  if (rng.chance(0.5)) return [slow]
  // The entries of the slow disk are needed once a follower is gone.
  return [
    slow,
    { ...dies, at: at + rng.int(1, 8) * electionMaxMs, target: follower(rng), ms: 2 * electionMaxMs },
  ]
}

const slowFollower: Scenario = (rng, config, at) => [slowly(rng, config, at, follower(rng))]

const slowDisks: Scenario = (rng, config, at) =>
  Array.from({ length: config.nodes }, (_, place) => slowly(rng, config, at, place))

/** It comes back with a slow disk, or with none of the data. */
const catchesUp: Scenario = (rng, config, at) => {
  const target = rng.int(0, config.nodes)
  const awayMs = rng.int(1, 4) * config.electionMaxMs
  const away: SimFault = rng.chance(0.7) ? { at, ...dies, target, ms: awayMs } : { at, kind: 'wipe', target }
  return [away, slowly(rng, config, at + (away.kind === 'wipe' ? 0 : awayMs), target)]
}

/** Writes without a pause, half of them at the leader. */
export function drawOverloadWriters(rng: Random, { ms, keys, nodes }: SimConfig): ScheduledOp[] {
  const stepMs = rng.pick([10, 20])
  return Array.from({ length: Math.floor((ms - 1000) / stepMs) }, (_, at) => ({
    at: 1000 + at * stepMs,
    kind: 'put',
    client: at % WRITERS,
    node: rng.chance(0.5) ? 'leader' : rng.int(0, nodes),
    key: rng.int(0, keys),
    x: rng.int(0, 1000),
  }))
}
