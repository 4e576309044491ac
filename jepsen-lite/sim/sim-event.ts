// Events of a run that are worth noting, as data. A replay prints them as lines; the lab writes its own sentences.

import type { ReplicaId } from '../../src/raft/index.ts'
import type { HistoryOperation, RecordedResult } from '../workload/history.ts'
import type { WatchMessage } from '../workload/watch-record.ts'
import type { FaultAction } from './faults/fault-kinds.ts'
import type { TriggerWait } from './faults/trigger-wait.ts'
import type { LockOp } from './schedule/schedule.ts'
import type { InFlight } from './world/disk.ts'

/** A fault that has begun. */
export interface FaultStrike {
  readonly fault: FaultAction & TriggerWait
  /** Names of the machines that it hits or that are requested to do something. */
  readonly nodes: readonly string[]
}

/** Something about the lock that a client uses. */
export type LockEvent =
  | { readonly what: 'asks'; readonly request: string }
  | { readonly what: 'answered'; readonly request: string; readonly outcome: string; readonly answer: string }
  | { readonly what: 'stands still'; readonly ms: number }
  /** It stands still until then. */
  | { readonly what: 'puts off'; readonly request: LockOp; readonly until: number }
  | { readonly what: 'does nothing'; readonly why: string }
  | { readonly what: 'continues' | 'has lost it' }

/** Something about a lease that a client was granted. */
type LeaseEvent =
  | { readonly what: 'granted' | 'kept alive'; readonly ttlMs: number }
  /** `keys` are deleted with it. */
  | { readonly what: 'expired' | 'revoked'; readonly ttlMs: number; readonly keys: readonly string[] }

export type SimEvent =
  | ({ readonly kind: 'fault' } & FaultStrike)
  | ({ readonly kind: 'fault-ended' } & FaultStrike)
  // ---- the process of the event
  | { readonly kind: 'started'; readonly replica: ReplicaId; readonly boot: number }
  | { readonly kind: 'died'; readonly inFlight: InFlight; readonly silent: boolean }
  /** It stops itself. */
  | { readonly kind: 'ended'; readonly why: string }
  | { readonly kind: 'paused' }
  | { readonly kind: 'resumed' }
  /** It refuses its disk. */
  | { readonly kind: 'not-opened'; readonly why: string }
  /** An earlier state of its disk takes the place of the present one. */
  | { readonly kind: 'rolled-back' }
  | { readonly kind: 'log-compacted'; readonly upTo: number }
  | { readonly kind: 'snapshot-installed'; readonly index: number }
  | {
      readonly kind: 'role'
      readonly role: string
      readonly term: number
      readonly leader: ReplicaId | undefined
      readonly why: string
    }
  /** Something about the connections to its peers. */
  | { readonly kind: 'connection'; readonly text: string }
  // ---- its clients
  | { readonly kind: 'request'; readonly client: string; readonly operations: readonly HistoryOperation[] }
  /** One result for each operation; a text: why this one was refused. */
  | {
      readonly kind: 'answer'
      readonly client: string
      readonly results: readonly (RecordedResult | string)[]
    }
  | { readonly kind: 'refusal'; readonly client: string; readonly why: string }
  /** The client never learns whether its request was carried out. */
  | { readonly kind: 'unknown-outcome'; readonly client: string; readonly why: string }
  | ({ readonly kind: 'lock'; readonly client: string } & LockEvent)
  | ({ readonly kind: 'lease'; readonly client: string } & LeaseEvent)
  /** A node serves the watch from now on, from this revision on. */
  | { readonly kind: 'watch-began'; readonly watcher: string; readonly from: number }
  /** A watch has lost its connection to the node. */
  | { readonly kind: 'watch-lost'; readonly watcher: string }
  | { readonly kind: 'watch-message'; readonly watcher: string; readonly message: WatchMessage }
  // ---- the cluster
  | { readonly kind: 'deleted'; readonly machine: string }
  | { readonly kind: 'liveness'; readonly nodes: readonly string[] }
  /** A fault of the clients with recipes. */
  | { readonly kind: 'client-fault'; readonly clients: string; readonly fault: string; readonly ms: number }
  | { readonly kind: 'violation'; readonly message: string }

/** The event as a line of a replay; undefined: it has none. */
export function formatEvent(event: SimEvent): string | undefined {
  switch (event.kind) {
    case 'fault': {
      const { kind, ...details } = event.fault
      return `fault ${kind}: ${event.nodes.join(' ')} ${JSON.stringify(details)}`
    }
    case 'fault-ended':
      return undefined
    case 'started':
      return `starts as replica ${event.replica}, boot ${event.boot}`
    case 'died':
      return `dies, batch in flight ${event.inFlight}${event.silent ? ', without a word' : ''}`
    case 'ended':
      return `ends itself: ${event.why}`
    case 'paused':
      return 'is stopped'
    case 'resumed':
      return 'resumes'
    case 'not-opened':
      return `does not open its disk: ${event.why}`
    case 'rolled-back':
      return 'is put back to an earlier state of its disk'
    case 'log-compacted':
      return `has deleted its log up to ${event.upTo}`
    case 'snapshot-installed':
      return `has installed a snapshot of ${event.index}`
    case 'role': {
      const { role, term, leader, why } = event
      return `${role} in term ${term}${leader === undefined ? '' : `, leader ${leader}`}: ${why}`
    }
    case 'connection':
      return event.text
    case 'request':
      return `gets from ${event.client}: ${JSON.stringify(event.operations)}`
    case 'answer':
      return `answers ${event.client}: ${JSON.stringify(event.results)}`
    case 'refusal':
      return `refuses ${event.client}: ${event.why}`
    case 'unknown-outcome':
      return `leaves ${event.client} in doubt: ${event.why}`
    case 'lock':
    case 'lease': {
      const { kind, client, ...details } = event
      return `${kind} of ${client}: ${JSON.stringify(details)}`
    }
    case 'watch-began':
      return `serves ${event.watcher} from revision ${event.from} on`
    case 'watch-lost':
      return `serves ${event.watcher} no longer`
    case 'watch-message':
      return `tells ${event.watcher}: ${JSON.stringify(event.message)}`
    case 'deleted':
      return `${event.machine} is deleted`
    case 'liveness':
      return `liveness: ${event.nodes.join(' ')} must converge`
    case 'client-fault':
      return `the clients ${event.clients}: ${event.fault} for ${event.ms} ms`
    case 'violation':
      return `VIOLATION ${event.message}`
  }
}
