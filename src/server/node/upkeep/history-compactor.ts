// Compaction of history by the leader. It proposes entries, each of which deletes a limited number of events, until
// history is within the settings. Each entry decides by the replicated state what it deletes (`kv/history.ts`). The
// leader only decides when to propose one. History may exceed the settings by a hundredth, or by a second.

import {
  eventsKey,
  isDue,
  type KvState,
  type Request,
  revisionsSince,
  SYSTEM_PRINCIPAL,
  spanOfEvents,
} from '../../../kv/index.ts'

/** A hundredth more than the settings say may be kept, so that there are few entries of this kind. */
const SLACK = 0.01
const SLACK_MS_MIN = 1000

interface CompactorNode {
  readonly state: KvState
  /** undefined: this node does not lead. */
  clusterTimeMs(): number | undefined
  /** A row that exists; undefined: the node has ended. */
  get(rowKey: Uint8Array): Uint8Array | undefined
  propose(request: Request, done: (ok: boolean) => void): void
}

export class HistoryCompactor {
  readonly #node: CompactorNode
  #isProposed = false

  constructor(node: CompactorNode) {
    this.#node = node
  }

  /** Called when entries were applied, and periodically. `checksAge`: the age of the oldest events counts too. */
  check(checksAge: boolean): void {
    const clusterTimeMs = this.#node.clusterTimeMs()
    if (this.#isProposed || clusterTimeMs === undefined || !this.#isWorthCompacting(clusterTimeMs, checksAge))
      return
    this.#isProposed = true
    const command = { kind: 'compact', revision: undefined } as const
    this.#node.propose({ command, idempotency: undefined, principal: SYSTEM_PRINCIPAL }, (ok) => {
      this.#isProposed = false
      if (ok) this.check(checksAge)
    })
  }

  #isWorthCompacting(clusterTimeMs: number, checksAge: boolean): boolean {
    const { state } = this.#node
    const settings = {
      ...state.settings,
      historyRevisionsMax: state.settings.historyRevisionsMax * (1 + SLACK),
      historyBytesMax: state.settings.historyBytesMax * (1 + SLACK),
      historyAgeMs: Math.max(
        state.settings.historyAgeMs + SLACK_MS_MIN,
        state.settings.historyAgeMs * (1 + SLACK),
      ),
    }
    const { revision, history } = state
    const { first, compacted, bytes } = history
    if (first === 0 || first > revision) return false
    const mayBe =
      first <= compacted ||
      revisionsSince(first, { revision, history }) >= settings.historyRevisionsMax ||
      bytes > settings.historyBytesMax
    if (!mayBe && !checksAge) return false
    const row = this.#node.get(eventsKey(first))
    if (row === undefined) return false
    const oldest = spanOfEvents(first, row)
    return isDue({ revision, history, settings, clusterTimeMs }, oldest.last, oldest.clusterTimeMs)
  }
}
