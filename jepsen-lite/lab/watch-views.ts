// The watches of clients: what each has received, over all its connections.

import type { WatchMessage } from '../workload/watch-record.ts'
import type { WatchEventView, WatchView } from './view.ts'

/** Events of a watch that a view has at most. */
const EVENTS_SHOWN = 30

export class WatchViews {
  readonly #views = new Map<string, WatchView>()

  get all(): readonly WatchView[] {
    return [...this.#views.values()]
  }

  /** undefined: the watch has lost its connection. */
  connected(name: string, connection: string | undefined): void {
    const before = this.#views.get(name)
    this.#views.set(name, { ...(before ?? { name, node: undefined, received: 0, events: [] }), connection })
  }

  /** `node` has sent this to the watch `name`. */
  received(name: string, node: string, message: WatchMessage, at: number): void {
    const before = this.#views.get(name)
    const { received = 0, events = [], connection } = before ?? {}
    const added = eventsOf(message, at)
    this.#views.set(name, {
      ...{ name, node, connection, received: received + added.length },
      events: [...events, ...added].slice(-EVENTS_SHOWN),
    })
  }
}

function eventsOf(message: WatchMessage, at: number): readonly WatchEventView[] {
  if (message.kind !== 'events') return []
  return message.events.map(({ key, type, record }) => ({
    ...{ at, key, revision: record?.modRevision ?? message.revision },
    value: type === 'put' ? (record?.value ?? '') : undefined,
  }))
}
