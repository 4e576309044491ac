// Timing parameters of the core, in a separate file because they are part of the public options of a node.

export interface RaftTiming {
  readonly heartbeatMs: number
  /**
   * An election timeout is this time and a random part: up to electionMaxMs − electionMinMs, but at least up to
   * electionMinMs. Must exceed 2 × heartbeatMs.
   */
  readonly electionMinMs: number
  readonly electionMaxMs: number
  /**
   * Delay before an idle follower receives a new commit index, unless one of its clients waits or the next entries come
   * first. 0: none.
   */
  readonly commitDelayMs: number
  /** After `unreachable` for the leader: pre-vote after a delay drawn from [0, this). */
  readonly failoverDelayMaxMs: number
  /** Limit for the relative drift of two nodes' monotonic clocks, e.g. 0.05. Only leader leases depend on it. */
  readonly driftMax: number
}

/** The reason why no core runs with these; undefined: it does. */
export function timingFault({
  heartbeatMs,
  electionMinMs,
  electionMaxMs,
}: Pick<RaftTiming, 'heartbeatMs' | 'electionMinMs' | 'electionMaxMs'>): string | undefined {
  if (electionMinMs > 2 * heartbeatMs && electionMaxMs > electionMinMs) return undefined
  return `the election timeout (${electionMinMs}–${electionMaxMs} ms) must be a range that begins above twice the heartbeat (${heartbeatMs} ms)`
}
