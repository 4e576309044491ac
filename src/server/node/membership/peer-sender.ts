// Messages of a node to its peers. The network is known when the node takes part; before that, everything is dropped.

import type { InFlightCounts, Message, RaftMember, ReplicaId, Term } from '../../../raft/types.ts'
import type { SnapshotSource } from '../../../storage/types.ts'
import type { EntryTraces } from '../entry-traces.ts'
import type {
  ForwardedKeepAlive,
  KeepAliveAnswer,
  Network,
  ReportAnswer,
  ReportRequest,
  StateHashAt,
} from '../network.ts'

export class PeerSender {
  readonly #traces: Pick<EntryTraces, 'of'>
  #network: Network | undefined

  constructor(traces: Pick<EntryTraces, 'of'>) {
    this.#traces = traces
  }

  get isStarted(): boolean {
    return this.#network !== undefined
  }

  start(network: Network): void {
    this.#network = network
  }

  close(): void {
    this.#network?.close()
  }

  inspect(): InFlightCounts {
    return this.#network?.inspect() ?? {}
  }

  setPeers(peers: readonly RaftMember[]): void {
    this.#network?.setPeers(peers)
  }

  /** Sends a message of the core, and before it the trace contexts of its proposals or entries. */
  send(message: Message): void {
    const traced = this.#traces.of(message)
    if (traced.length > 0) this.#network?.sendTraces(message.to, traced)
    this.#network?.send(message)
  }

  sendStateHash(at: StateHashAt): void {
    this.#network?.sendStateHash(at)
  }

  requestKeepAlive(to: ReplicaId, question: ForwardedKeepAlive): void {
    this.#network?.requestKeepAlive(to, question)
  }

  answerKeepAlive(to: ReplicaId, answer: KeepAliveAnswer): void {
    this.#network?.answerKeepAlive(to, answer)
  }

  requestReport(to: ReplicaId, request: ReportRequest): boolean {
    return this.#network?.requestReport(to, request) ?? false
  }

  answerReport(to: ReplicaId, answer: ReportAnswer): void {
    this.#network?.answerReport(to, answer)
  }

  sendSnapshot(to: ReplicaId, term: Term, source: SnapshotSource): void {
    this.#network?.sendSnapshot(to, term, source)
  }
}
