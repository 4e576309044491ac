// State that the parts of a running simulation share.

import type { Message } from '../../../src/raft/index.ts'
import type { StateCoverage } from '../coverage.ts'
import type { Triggers } from '../faults/triggers.ts'
import type { Rollbacks } from '../liveness/rollbacks.ts'
import type { SimEvent } from '../sim-event.ts'
import type { Trace } from '../trace.ts'
import type { Environment, Machine, Process } from './process.ts'

export interface SimWorld extends Environment {
  readonly trace: Trace
  readonly triggers: Triggers
  readonly coverage: StateCoverage
  readonly rollbacks: Rollbacks
  readonly machines: readonly Machine[]
  /** A message is about to leave. A fault may end the process here. */
  leaving(process: Process, message: Message): void
  /** A message has arrived, and the process is about to read it. */
  messageReceived(process: Process, message: Message): void
  /** Notes an event for an observer, and the process that it is about. */
  say(process: Process | undefined, event: SimEvent): void
}
