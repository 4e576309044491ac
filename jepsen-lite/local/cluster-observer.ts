// Records events of the nodes as notes of the history, counts elections, and notices nodes that end without a fault.

import type { Recorder } from '../workload/history.ts'
import type { LocalClusterEvent } from './cluster.ts'

export class ClusterObserver {
  /** The number of terms with a leader since the clients began. */
  elections = 0
  /** Messages about nodes that ended without a fault that explains it. */
  readonly unexpectedEnds: string[] = []
  readonly #recorder: Recorder
  #state: 'forming' | 'counting' | 'closing' = 'forming'
  #highestTermLed = 0

  constructor(recorder: Recorder) {
    this.#recorder = recorder
  }

  clientsBegin(): void {
    this.#state = 'counting'
  }

  /** Expects nodes to end from now on, because the run ends. */
  close(): void {
    this.#state = 'closing'
  }

  observe(event: LocalClusterEvent): void {
    if (this.#state === 'closing') return
    const { node } = event
    switch (event.kind) {
      case 'view': {
        const { role, term, leader } = event.view
        const { before } = event
        if (before?.role !== role || before.term !== term || before.leader !== leader)
          this.#recorder.note('role', { node, role, term, leader: leader ?? null })
        if (role === 'leader') this.#countElection(term)
        break
      }
      case 'ended':
        this.#recorder.note('ended', { node, reason: event.reason })
        if (!event.isExpected) this.unexpectedEnds.push(`${node} ended by itself: ${event.reason}`)
        break
      default:
        this.#recorder.note(event.kind, { node })
    }
  }

  #countElection(term: number): void {
    if (term <= this.#highestTermLed) return
    this.#highestTermLed = term
    if (this.#state === 'counting') this.elections++
  }
}
