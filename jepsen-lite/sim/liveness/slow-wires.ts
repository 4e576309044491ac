// When wires carry fewer bytes than clients offer, the leader keeps the lead. Heartbeats and their answers use the
// same connections as changes, so the changes in flight must be limited. Changes for which there is no room wait at
// their node, and get an answer when their time is over.

import { proposeNothing } from '../clients/null-requests.ts'
import { RuleViolation } from '../oracle/violation.ts'
import type { SimCluster, Waits } from '../world/cluster.ts'
import type { Machine } from '../world/process.ts'

/** Everything in flight at once takes this fraction of the shortest election timeout. */
const UNDER_WAY_PART = 4
/** All requests to one node at once take this many longest election timeouts. */
const ASKED_ELECTIONS = 3
/** Approximate size of one request. */
const REQUEST_BYTES = 250
const REQUESTS_MAX = 2000
/** A wire carries at least this many of the smallest frames in one heartbeat interval. */
const FRAMES_MIN = 40
const FRAME_BYTES = 64

/** `cluster` is calm: it has a leader in `core`, and nothing is wrong. */
export function* leadsOnSlowWires(cluster: SimCluster, core: readonly Machine[]): Waits {
  const { leader, network, time, config, probeCoverage, invariants } = cluster
  const { electionMinMs, electionMaxMs, heartbeatMs } = config
  const bytesInFlight = sum(core.map(({ limits }) => limits.proposedBytesMax + REQUEST_BYTES))
  const bytesPerMs = Math.max(
    (UNDER_WAY_PART * bytesInFlight) / electionMinMs,
    (FRAMES_MIN * FRAME_BYTES) / heartbeatMs,
  )
  const ms = ASKED_ELECTIONS * electionMaxMs
  const requests = Math.ceil((ms * bytesPerMs) / REQUEST_BYTES)
  if (leader === undefined || requests > REQUESTS_MAX) return
  const isRefused = ({ limits }: Machine): boolean =>
    requests > limits.proposalsMax || requests * REQUEST_BYTES > limits.proposalBytesMax
  if (core.some(isRefused)) return
  network.bytesPerMs = bytesPerMs
  const { maxTerm } = invariants
  let [made, unknown] = [0, 0]
  for (const { name, process } of core) {
    const driver = process?.serving
    for (let count = 0; driver !== undefined && count < requests; count++) {
      const principal = `wires.${name}.${count}.`.padEnd(REQUEST_BYTES - FRAME_BYTES, '.')
      proposeNothing(cluster, driver, principal, ms, (result) => {
        if (result.ok) made++
        else if (result.problem.written === 'unknown') unknown++
      })
    }
  }
  yield { until: time.now + 2 * ms }
  network.bytesPerMs = Number.POSITIVE_INFINITY
  probeCoverage.hit('led on slow wires')
  if (invariants.maxTerm === maxTerm && cluster.leader === leader && made > 0) return
  throw new RuleViolation(
    'LIVE-6',
    `${leader.name} led in term ${maxTerm} on wires of ${Math.round(bytesPerMs)} bytes a millisecond, each node got ${requests} changes, ${made} were made and of ${unknown} the outcome is unknown, and now ${cluster.leader?.name ?? 'no node'} leads and the term is ${invariants.maxTerm}`,
  )
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0)
