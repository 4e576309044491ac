// Triggers: what an operation or a fault of a schedule can wait for, instead of a time.

/**
 * elected, deposed: a leader takes office, or loses it; superseded: it leads, and another is elected; leaderless: a
 * follower loses its leader; pre-candidate, candidate: an election begins; voted: a vote for another leaves;
 * hands-over: a leader asks its successor to take over; committed: a leader commits; ahead: a replica applies an entry
 * that its own disk does not hold yet; applied-late: a slow replica applies an entry; reconfigured: it applies a change
 * of the membership or of the leases; joint: it enters a joint configuration; left: it leaves one and thereby a voter,
 * the other; let-go: it confirms to an operator that a member is no longer a voter, the other; truncated: it has
 * truncated its log; compacted: it has compacted its log; answered: a client's write is acknowledged; forwarded:
 * a follower sends proposals to the leader, the other; read-asked: a leader is asked by another to confirm a read;
 * sends-snapshot: a leader begins to send one; offered, staged, installed: a snapshot from another begins to arrive,
 * has arrived, has replaced the state; connected, disconnected: links to a peer; opening, started: a process begins,
 * and serves; stopped: by SIGSTOP; died: the process is gone.
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

/** From its time on it waits for such a trigger for a while, then `after` ms, and happens; up to `times` times. */
export interface TriggerWait {
  readonly when?: Trigger
  readonly after?: number
  readonly times?: number
}
