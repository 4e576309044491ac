// The leader lets history end: it proposes entries, each of which deletes a limited number of events, until what is
// kept is within the settings. Each of these entries decides by the replicated state what it deletes (`kv/history.ts`);
// here it is only decided when one is worth while. So history may be kept a little longer than the settings say: by a
// hundredth, or a second.

import { eventsKey, isDue, type KvState, type Request, spanOfEvents } from '../../kv/index.ts'

/** A hundredth more than the settings say may be kept, so that there are few entries of this kind. */
const SLACK = 0.01
const SLACK_MS_MIN = 1000

export interface Compacted {
  readonly state: KvState
  /** undefined: this node does not lead. */
  clusterTimeMs(): number | undefined
  get(rowKey: Uint8Array): Uint8Array | undefined
  propose(request: Request, done: (ok: boolean) => void): void
}

export class HistoryCompactor {
  readonly #node: Compacted
  #isUnderWay = false

  constructor(node: Compacted) {
    this.#node = node
  }

  /** Called when entries were applied, and now and then. `looksAtAge`: the age of the oldest events counts too. */
  check(looksAtAge: boolean): void {
    const clusterTimeMs = this.#node.clusterTimeMs()
    if (this.#isUnderWay || clusterTimeMs === undefined || !this.#isWorthWhile(clusterTimeMs, looksAtAge))
      return
    this.#isUnderWay = true
    const command = { kind: 'compact', revision: undefined } as const
    this.#node.propose({ command, idempotency: undefined, principal: '' }, (ok) => {
      this.#isUnderWay = false
      if (ok) this.check(looksAtAge)
    })
  }

  #isWorthWhile(clusterTimeMs: number, looksAtAge: boolean): boolean {
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
      revision - first >= settings.historyRevisionsMax ||
      bytes > settings.historyBytesMax
    if (!mayBe && !looksAtAge) return false
    const row = this.#node.get(eventsKey(first))
    if (row === undefined) return false
    const oldest = spanOfEvents(first, row)
    return isDue({ revision, history, settings, clusterTimeMs }, oldest.last, oldest.clusterTimeMs)
  }
}
