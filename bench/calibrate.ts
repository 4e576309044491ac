// How many connections suit a client in Go best on this machine: a few numbers are tried for a short time, on a cluster
// that is thrown away.

import { fill } from './scenarios/fill.ts'
import { measureLoad } from './scenarios/measure-load.ts'
import type { ConnectionCounts, Setting, Side } from './scenarios/scenario.ts'

/** Each twice: a short measurement may fall on a bad moment. */
const CANDIDATES = [1, 10, 100, 1, 10, 100] as const
const IN_FLIGHT = 256
const SHORT = { keys: 10_000, seconds: 2, warmupSeconds: 1, rate: null }

export async function bestConnections(
  side: Omit<Side, 'connections'>,
  setting: Setting,
): Promise<ConnectionCounts> {
  const short = { ...setting, ...SHORT }
  const all = async (reads: 0 | 1): Promise<number> => {
    const tried: { readonly connections: number; readonly opsPerS: number }[] = []
    for (const connections of CANDIDATES) {
      const candidate = { ...side, connections: { writes: connections, reads: connections } }
      const { figures } = await measureLoad(candidate, short, { in_flight: IN_FLIGHT, reads })
      tried.push({ connections, opsPerS: figures.ops_per_s ?? 0 })
    }
    return tried.reduce((best, each) => (each.opsPerS > best.opsPerS ? each : best)).connections
  }
  await fill({ ...side, connections: { writes: 10, reads: 10 } }, short, { fill_from: 0, keys: SHORT.keys })
  return { writes: await all(0), reads: await all(1) }
}
