// The configuration of a cluster to which nothing happens: no faults of its own, equal clocks, short delays.

import { generate } from '../../../jepsen-lite/sim/index.ts'
import type { SimConfig } from '../../../jepsen-lite/sim/schedule/config.ts'

export const calmConfig = (change: Partial<SimConfig>): SimConfig => ({
  ...generate(1).config,
  ...{ spares: 0, grow: 0, clocks: 0, leases: 0, tail: 0, harsh: 0, lost: 0, doubled: 0, reordered: 0 },
  ...{ heartbeatMs: 50, electionMinMs: 500, electionMaxMs: 1000, commitDelayMs: 0, timeoutMs: 1000 },
  ...{ delayMs: 0.2, jitterMs: 0.3, silenceMs: 0, writeMs: 1, writeJitterMs: 1, readMs: 0.1 },
  ...change,
})
