// Coverage of a run: faults with an effect, and rare paths of the code ("sometimes" probes). A fault without an
// effect is not counted. A probe that no schedule ever hits shows what the generator does not reach.

import { FAULT_KINDS } from './faults/fault-kinds.ts'

export const PROBES = [
  'election won',
  'election lost or tied',
  'leader deposed without quorum',

  'transfer done',
  'transfer aborted or refused',
  'log truncated',
  'log compacted on disk',
  'snapshot stream begun',
  'snapshot stream resumed in the middle',
  'snapshot stream given up',
  'snapshot without a row refused',
  'snapshot installed',
  'snapshot installed, log kept',
  'snapshot installed by a voter',
  'snapshot installed while joint',
  'snapshot installed while leases are on',
  'snapshot staged when the process crashed',
  'joint configuration entered',
  'joint configuration left',
  'process started in a joint configuration',
  'process started with unapplied entries',
  'process started with an uncommitted tail',
  'process started while leases are on',
  'process started from a torn tail',
  'learner promoted',
  'voter demoted',
  'leader removed',
  'replica notified of its removal',
  'machine deleted once it was let go',
  'removed replica came back in the liveness phase',
  'fresh replica joined',
  'replaced in one joint change',
  'lease read served',
  'lease read served by a follower',
  'read forwarded to the leader',
  'stale read with a proven bound',
  'stale read refused',
  'read waited for a revision',
  'write forwarded to the leader',

  'outcome unknown',
  'outcome refused',
  'condition failed',
  'condition failed under a token',
  'list of several slices',
  'idempotent replay',
  'token of another request refused',
  'refused for its size',
  'idempotency token evicted',
  'repeated in a session',
  'late copy in a session refused',
  'session forgotten',
  'batch with several changes of one key',
  'transaction succeeded',
  'transaction whose comparison failed',
  'refused for the keys of its ranges or lease',
  'request to the whole store refused as full',
  'history compacted by a client',
  'read at an earlier revision',
  'lease kept alive',
  'key attached to a lease',
  'lease expired',
  'lease ended under another leader than it began',
  'lease ended in parts',
  'change by a user with the right',
  'change without a right refused',
  'right changed before a change was applied',
  'watch begun',
  'watch begun at a revision',
  'watch continues at another node',
  'watch waits for a slow client',
  'watch overtaken by compaction',
  'batch in flight lost',
  'batch in flight kept',
  'batch in flight torn',
  'crash in the middle of a turn',
  'batch durable, report lost in a crash',
  'replica put back to an earlier state was refused',
  'replica put back to an earlier state was accepted',
  'replica under quarantine did not start',
  'corruption found on reading',
  'corruption found on opening',
  'storage error ended a process',
  'disk read back',
  'stale connection replaced',
  'message of an older connection arrived',
  'all processes down at once',
  'two leaders at once',
  'message of an old leader after a newer one',
  'wiped machine rejoined',
  'graceful stop handed over',
  'too little left for a liveness phase',
  'calm in the end',
  'lagged behind and stayed fresh',
  'led on slow disks',
  'led on slow wires',
  'handed over from a slow disk',
  'caught up under load',
  'read on full disks',
  'replica upgraded',
  'replica downgraded',
  'cluster version raised',
  'raise of the cluster version refused',
  'older replica ended where the cluster version is newer',
] as const
export type Probe = (typeof PROBES)[number]

const EXTRA_FAULTS = ['message-lost', 'message-doubled', 'message-overtaken', 'clock-drift'] as const

export class ProbeCoverage {
  readonly faults: Record<string, number> = {}
  readonly probes: Record<string, number> = {}

  constructor() {
    for (const kind of [...FAULT_KINDS, ...EXTRA_FAULTS]) this.faults[kind] = 0
    for (const probe of PROBES) this.probes[probe] = 0
  }

  fault(kind: (typeof FAULT_KINDS)[number] | (typeof EXTRA_FAULTS)[number]): void {
    this.faults[kind] = (this.faults[kind] ?? 0) + 1
  }

  hit(probe: Probe): void {
    this.probes[probe] = (this.probes[probe] ?? 0) + 1
  }
}
