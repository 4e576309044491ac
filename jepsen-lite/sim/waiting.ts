// What an operation or a fault of a schedule can wait for, instead of a time.

/**
 * elected, deposed: a leader takes office, or loses it; candidate: an election begins; voted: a vote leaves, for another; hands-over: a leader
 * asks its successor to take over; committed: a leader commits; ahead: a replica applies what its own disk does not hold yet; reconfigured:
 * it applies a change of the membership or of the leases; joint: it enters a joint configuration; truncated: it has cut off the end of its
 * log; answered: a client is told that its write is done; forwarded: a follower sends proposals to the leader, which is the other; offered: a
 * snapshot begins to arrive, from another; staged: all of it has arrived, and its sender is being told.
 */
export const TRIGGERS = [
  'elected',
  'deposed',
  'candidate',
  'voted',
  'hands-over',
  'committed',
  'ahead',
  'reconfigured',
  'joint',
  'truncated',
  'answered',
  'forwarded',
  'offered',
  'staged',
] as const
export type Trigger = (typeof TRIGGERS)[number]

/** From its time on it waits for a while for such a trigger, lets `after` ms pass, and happens; up to so many times. */
export interface Waiting {
  readonly when?: Trigger
  readonly after?: number
  readonly times?: number
}
