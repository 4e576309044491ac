// What an operation or a fault of a schedule can wait for, instead of a time.

/**
 * elected, deposed: a leader takes office, or loses it; superseded: it leads, and another is elected; leaderless: a
 * follower loses its leader; pre-candidate, candidate: an election begins; voted: a vote leaves, for another;
 * hands-over: a leader asks its successor to take over; committed: a leader commits; ahead: a replica applies what its
 * own disk does not hold yet; applied-late: one that is slow applies an entry; reconfigured: it applies a change of the
 * membership or of the leases; joint: it enters a joint configuration; left: it leaves one, and with it a voter, the
 * other; let-go: an operator is told at it that a member is a voter no more, the other; truncated: it has cut off the
 * end of its log; compacted: the beginning; answered: a client is told that its write is done; forwarded: a follower
 * sends proposals to the leader, which is the other; read-asked: a leader is asked by another to confirm a read;
 * sends-snapshot: a leader begins to send one; offered, staged, installed: one begins to arrive, from another; has
 * arrived; has taken the place of the state. connected, disconnected: links to a peer; opening, started: a process
 * begins, and serves; stopped: by SIGSTOP; died: it is gone.
 */
export const TRIGGERS = [
  'elected',
  'deposed',
  'superseded',
  'leaderless',
  'pre-candidate',
  'candidate',
  'voted',
  'hands-over',
  'committed',
  'ahead',
  'applied-late',
  'reconfigured',
  'joint',
  'left',
  'let-go',
  'truncated',
  'compacted',
  'answered',
  'forwarded',
  'read-asked',
  'sends-snapshot',
  'offered',
  'staged',
  'installed',
  'connected',
  'disconnected',
  'opening',
  'started',
  'stopped',
  'died',
] as const
export type Trigger = (typeof TRIGGERS)[number]

/** From its time on it waits for a while for such a trigger, lets `after` ms pass, and happens; up to so many times. */
export interface Waiting {
  readonly when?: Trigger
  readonly after?: number
  readonly times?: number
}
