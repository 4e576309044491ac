// What the parts of a running simulation share.

import type { Message, ReplicaId } from '../../src/raft/index.ts'
import type { Network, NodeEnd } from '../../src/server/types.ts'
import type { StorageBatch } from '../../src/storage/index.ts'
import type { Coverage } from './coverage.ts'
import type { Invariants } from './invariants.ts'
import type { ProbeCoverage } from './probe-coverage.ts'
import type { Process } from './process.ts'
import type { Rollbacks } from './rollbacks.ts'
import type { Config } from './schedule.ts'
import type { Event, Time } from './time.ts'
import type { Trace } from './trace.ts'
import type { Triggers } from './triggers.ts'

export interface World {
  readonly seed: number
  readonly config: Config
  readonly time: Time
  readonly trace: Trace
  readonly probeCoverage: ProbeCoverage
  readonly invariants: Invariants
  readonly triggers: Triggers
  readonly coverage: Coverage
  readonly rollbacks: Rollbacks
  /** The wires of a process that begins. */
  networkOf(process: Process): Network
  /** A process serves. */
  began(process: Process): void
  /** A process ended by itself. */
  ended(process: Process, end: NodeEnd): void
  /** Its disk cannot be opened. */
  refused(process: Process, error: Error): void
  /** A process is stopped until it is resumed. */
  stopped(process: Process): void
  /** A message is about to leave. A fault may end the process here. */
  leaving(process: Process, message: Message): void
  /** A message has arrived, and the process is about to read it. */
  heard(process: Process, message: Message): void
  /** A batch is begun; is durable and not reported; is reported. A fault may end the process at the first two. */
  writing(process: Process): void
  stored(process: Process): void
  written(process: Process, batch: StorageBatch): void
  roleChanged(process: Process, role: string, term: number, leader: ReplicaId | undefined, why: string): void
  /** Whether a waiting event is a leader's message of this term or a later one. */
  isOfLeader(event: Event, term: number): boolean
  /** For the observer of a replay. */
  say(process: Process | undefined, what: string): void
}
