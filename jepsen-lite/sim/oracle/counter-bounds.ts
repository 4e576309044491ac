// The bound of each counter of work in flight (`inspect`), and the check of all of them while a cluster runs. Whatever
// grows is bounded by its own progress: a counter at rest says nothing about a node under load.
//
// docs/reference/limits.md has the same table for people.

import { BATCH_COMMANDS_MAX } from '../../../src/operations/batch.ts'
import { BODY_AT } from '../../../src/raft/entry.ts'
import { WAITING_READS_MAX } from '../../../src/raft/index.ts'
import { LEADER_LEASE_ROUNDS_MAX } from '../../../src/raft/leader-lease.ts'
import { driverLimits, raftLimits } from '../../../src/server/node/limits.ts'
import type { PartCounts } from '../../../src/server/node/observe/status.ts'
import { LINK_LIMITS } from '../../../src/server/peers/limits.ts'
import { FAILURES_MAX } from '../../../src/server/peers/peer.ts'
import type { NodeLimits } from '../world/node-limits.ts'

/**
 * The bounds by counter; a counter of one peer has no `of`. A bound is a sum of products of limits, measures and whole
 * numbers. `in COUNTER`: what it counts takes bytes or entries that the other counter counts. `disk`: it counts what is
 * on the disk.
 */
export const COUNTER_BOUNDS: Readonly<Record<string, string>> = {
  waits: 'transfersMax + 3',
  forwardedKeepAlives: 'keepAlivesMax',
  scans: '4 × rangesMax + members + 4',
  transferRefused: 'transfersMax',
  snapshotsSending: 'members',
  gathered: 'BATCH_COMMANDS_MAX',
  batchDelayTimer: '1',
  unapplied: 'in raft.applyingBytes',
  applySoon: '1',
  overlayBytes: 'overlayBytesMax + entryRows',
  wakeSoon: '1',
  retryTimer: '1',

  'raft.votes': 'members',
  'raft.proposals': '2 × uncommittedEntriesMax + 1',
  'raft.proposedBytes': 'proposedBytesMax + entryBytesMax',
  'raft.forwardedBytes': 'uncommittedBytesMax + entryBytesMax',
  'raft.pendingReads': 'WAITING_READS_MAX',
  'raft.pendingTransfer': '1',
  'raft.unappliedChanges': 'in raft.unappliedEntries',
  'raft.unappliedLeaderLeases': 'in raft.unappliedEntries',
  'raft.readers': 'WAITING_READS_MAX',
  'raft.earlyReads': 'WAITING_READS_MAX',
  'raft.leaderLeaseRounds': 'LEADER_LEASE_ROUNDS_MAX + 2',
  'raft.transfer': '1',
  'raft.retiring': '1',
  'raft.pendingWrites': 'in raft.undurableBytes',
  'raft.installing': '1',
  'raft.uncommittedEntries': 'uncommittedEntriesMax + terms + commitLag',
  'raft.uncommittedBytes':
    'uncommittedBytesMax + entryBytesMax + terms × BODY_AT + commitLag × entryBytesMax',
  'raft.undurableEntries': 'in raft.undurableBytes',
  'raft.undurableBytes':
    'uncommittedBytesMax + inflightBytesMax + appendBytesMax + 2 × entryBytesMax + terms × BODY_AT',
  'raft.unappliedEntries': 'disk',
  'raft.applyBatches': 'in raft.applyingBytes',
  'raft.applyingBytes': 'applyBytesMax + entryBytesMax',
  'raft.inflightMessages': 'inflightMessagesMax',
  'raft.inflightBytes': 'inflightBytesMax + appendBytesMax + entryBytesMax',
  'raft.notReplicating': '1',

  'proposals.waiting': 'proposalsMax',
  'proposals.bytes': 'proposalBytesMax',
  'proposals.queued': 'proposalsMax',
  'proposals.parked': 'proposalsMax',
  'proposals.committed': 'in raft.applyingBytes',

  'reads.open': 'readsMax',
  'reads.fresh': '2 × readsMax',
  'reads.parked': '2 × readsMax',
  'reads.requested': '2 × readsMax',
  'reads.awaitingIndex': '2 × readsMax',
  'reads.awaitingRevision': 'readsMax',
  'reads.awaitingTurn': '2 × readsMax',

  'groupCommit.writes': 'in raft.undurableBytes',
  'groupCommit.heldMessages': 'heldMessagesMax',
  'groupCommit.inFlight': '1',

  'watches.open': 'watchesMax',
  'watches.live': 'watchesMax',
  'watches.behind': 'watchesMax',
  'watches.ending': 'watchesMax',
  'watches.slow': 'watchesMax',
  'watches.searches': '1',
  'watches.rowsKept': '32',
  'watches.timer': '1',

  'reports.waiting': 'members × reportsMax',
  'reports.making': 'reportsMax',
  'leases.keepAlives': 'keepAlivesMax',
  'leases.loading': '1',
  'leases.expiring': '1',
  'leases.checkpointing': '1',
  'leases.revocations': 'proposalsMax',

  'links.unidentified': 'unidentifiedMax',
  'links.receiving': 'unidentifiedMax + 1',
  'links.transfers': 'members',
  'links.chunksInFlight': 'members × snapshotChunksInflightMax',
  'links.broken': '1',
  'links.dialling': '1',
  'links.retrying': '1',
  'links.grace': '1',
  'links.held': '1',
  'links.failures': 'FAILURES_MAX',
  'links.queuedFrames': 'queueMessagesMax',
  'links.queuedBytes': 'queueBytesMax + frameBytesMax',

  'http.connections': 'connectionsMax',
  'http.fastConnections': 'connectionsMax',
  'http.handshakes': 'tlsHandshakesMax',
  'http.muxConnections': 'connectionsMax',
  'http.grpcConnections': 'connectionsMax',
  'http.grpcCalls': 'connectionsMax + bodiesBytesMax / 4096',
  'http.requests': 'connectionsMax',
  'http.operations': 'connectionsMax × muxOperationsMax',
  'http.ranges': 'rangesMax',
  'http.watchBytes': 'watchBuffersBytesMax + watchMessageBytesMax',
  'http.bodyBytes': 'bodiesBytesMax',
  'http.unidentified': 'connectionsMax',
  'http.unidentifiedHeadBytes': 'unidentifiedHeadBytesMax',
  'http.unauthenticatedBytes': '2 × unauthenticatedBytesMax + connectionsMax × 16384',
  'http.answerBytes': 'answersBytesMax + connectionsMax × pageBytesMax',
}

/** Names in bounds that are no limits: constants, and measures of a cluster. */
export const BOUND_NAMES = [
  'BATCH_COMMANDS_MAX',
  'BODY_AT',
  'FAILURES_MAX',
  'LEADER_LEASE_ROUNDS_MAX',
  'WAITING_READS_MAX',
  'commitLag',
  'entryRows',
  'members',
  'terms',
] as const

/** The products of a bound, each as its factors and divisors. */
type Terms = readonly (readonly string[])[]

/** undefined: the bound is no sum. */
export function parseTerms(bound: string): Terms | undefined {
  if (bound === 'disk' || bound.startsWith('in ')) return undefined
  return bound.split(' + ').map((product) => product.split(/ [×/] /))
}

/** The counter without the peer that it is about. */
export const counterName = (counter: string): string => counter.split(' of ', 1)[0] ?? counter

/** Counters that only a server counts, with the storage and the clients of real nodes. */
const NOT_SIMULATED = /^(http\.|scans$)/

/** Measures of a simulated cluster. */
interface BoundMeasures {
  readonly members: number
  /** Each leader appends one entry, which no limit refuses. */
  readonly terms: number
  /** Entries that are committed and that this replica does not know to be: a removed one may not learn of a commit. */
  readonly commitLag: number
  /** Bytes of the largest entry. */
  readonly entryBytes: number
  /** Bytes of the rows that one entry has changed, at most so far. */
  readonly entryRows: number
}

/** The bounds of one run. */
export class CounterBounds {
  readonly #values: Readonly<Record<string, number>>
  /** By prefix of a part and counter, with its peer. undefined: not checked. */
  readonly #terms = new Map<string, Map<string, Terms | undefined>>()

  constructor(limits: NodeLimits) {
    this.#values = { ...driverLimits, ...raftLimits, ...LINK_LIMITS, ...CONSTANTS, ...limits }
  }

  /** The first counter beyond its bound. */
  exceeded(parts: readonly PartCounts[], measures: BoundMeasures): string | undefined {
    for (const { prefix, counts } of parts) {
      for (const counter in counts) {
        const count = counts[counter] ?? 0
        // No bound is smaller.
        if (count <= 1) continue
        const terms = this.#termsFor(prefix, counter)
        if (terms === undefined) continue
        const bound = terms.reduce((sum, factors) => sum + this.#product(factors, measures), 0)
        // Written with `!`, so that NaN does not pass.
        if (!(count <= bound)) return `${prefix}${counter} is ${count}, the bound is ${bound}`
      }
    }
    return undefined
  }

  #termsFor(prefix: string, counter: string): Terms | undefined {
    let known = this.#terms.get(prefix)
    if (known === undefined) {
      known = new Map()
      this.#terms.set(prefix, known)
    }
    if (!known.has(counter)) {
      const name = counterName(`${prefix}${counter}`)
      const bound = COUNTER_BOUNDS[name]
      if (bound === undefined) throw new Error(`no bound is known for the counter ${name}`)
      known.set(counter, NOT_SIMULATED.test(name) ? undefined : parseTerms(bound))
    }
    return known.get(counter)
  }

  #product(factors: readonly string[], measures: BoundMeasures): number {
    return factors.reduce((product, factor) => product * this.#value(factor, measures), 1)
  }

  #value(name: string, measures: BoundMeasures): number {
    if (name === 'members') return measures.members
    if (name === 'terms') return measures.terms
    if (name === 'commitLag') return measures.commitLag
    if (name === 'entryBytesMax') return measures.entryBytes
    if (name === 'entryRows') return measures.entryRows
    return this.#values[name] ?? Number(name)
  }
}

const CONSTANTS = { BATCH_COMMANDS_MAX, BODY_AT, FAILURES_MAX, LEADER_LEASE_ROUNDS_MAX, WAITING_READS_MAX }
