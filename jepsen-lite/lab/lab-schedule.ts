// The cluster of the lab. Its messages and its disks are slow, so that a person can follow them.

import type { SimConfig } from '../sim/schedule/config.ts'
import { SCHEDULE_VERSION, type Schedule } from '../sim/schedule/schedule.ts'
import { usualLimits } from '../sim/world/node-limits.ts'

/** A run of the lab lasts at most so long, in virtual milliseconds. */
export const LAB_MS_MAX = 600_000

export const LAB_CONFIG: SimConfig = {
  ...{ nodes: 5, spares: 2, grow: 0, ms: LAB_MS_MAX, keys: 4, clients: 3, timeoutMs: 5000, restartMs: 500 },
  ...{ heartbeatMs: 150, electionMinMs: 1000, electionMaxMs: 2000, commitDelayMs: 0 },
  ...{ delayMs: 20, jitterMs: 20, tail: 0, lost: 0, doubled: 0, reordered: 0, silenceMs: 3000 },
  // A single message may be lost or late.
  harsh: 1,
  ...{ writeMs: 8, writeJitterMs: 4, readMs: 0.1, shortDisks: 0, clocks: 4, leases: 0, leaseMs: 500 },
  limits: usualLimits,
}

export const labSchedule = (seed = 1, config: Partial<SimConfig> = {}): Schedule => ({
  ...{ version: SCHEDULE_VERSION, seed, ops: [], faults: [] },
  config: { ...LAB_CONFIG, ...config },
})

/** The `x` of an operation that has a short value, and demands nothing else. */
export const PLAIN_X = 41
