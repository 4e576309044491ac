// The state of a local cluster and what was done to it, as server-sent events for the console.

import type { ServerResponse } from 'node:http'
import {
  ActionDocument,
  ControlDocument,
  type ControlledNode,
  type ControlState,
} from '../../operations/documents/control.ts'
import type { ClusterNodes, SupervisorEvent } from '../cluster/cluster-nodes.ts'
import type { SupervisedNode } from '../node/supervised-node.ts'

/** The part of a cluster that the console shows. */
export type ShownCluster = Pick<ClusterNodes, 'nodes' | 'clusterId' | 'mesh' | 'watch'>

/** Actions that a stream begins with: a page that is loaded again shows what was done. */
const ACTIONS_KEPT = 100
/** Interval between checks of states that no event reports, such as a process that a user has stopped by a signal. */
const CHECK_INTERVAL_MS = 1_000
/** Checks between two comments, by which a page notices a supervisor that is gone. */
const CHECKS_A_COMMENT = 10
/** Limit on the bytes that a page has not read. Beyond it the stream ends. */
const UNREAD_BYTES_MAX = 64 * 1024

export class ControlEvents {
  readonly #cluster: ShownCluster
  readonly #streams = new Set<ServerResponse>()
  readonly #actions: { readonly id: number; readonly message: string }[] = []
  readonly #unwatch: () => void
  #lastId = 0
  #sentState = ''
  #timer: NodeJS.Timeout | undefined
  #checks = 0
  #isScheduled = false

  constructor(cluster: ShownCluster) {
    this.#cluster = cluster
    this.#unwatch = cluster.watch((event) => this.#onEvent(event))
  }

  state(): ControlState {
    return {
      nodes: this.#cluster.nodes.map(nodeState),
      links: this.#cluster.mesh?.links() ?? [],
    }
  }

  /** Begins a stream. `lastEventId`: the last action that the page has. */
  add(response: ServerResponse, lastEventId: string | undefined): void {
    response.writeHead(200, ['Content-Type', 'text/event-stream', 'Cache-Control', 'no-store'])
    // The other streams must not miss a change that this one begins with.
    this.#sendStateIfChanged()
    response.write(message('state', this.#sentState))
    const known = Number(lastEventId ?? 0)
    for (const action of this.#actions) if (!(action.id <= known)) response.write(action.message)
    response.on('close', () => {
      this.#streams.delete(response)
      if (this.#streams.size === 0) this.#stopChecks()
    })
    this.#streams.add(response)
    this.#timer ??= setInterval(() => this.#onInterval(), CHECK_INTERVAL_MS).unref()
  }

  close(): void {
    this.#unwatch()
    this.#stopChecks()
    for (const stream of this.#streams) stream.end()
  }

  #onEvent(event: SupervisorEvent): void {
    if (event.kind === 'command') {
      const data = ActionDocument.stringify(event)
      const id = ++this.#lastId
      this.#actions.push({ id, message: message('action', data, id) })
      if (this.#actions.length > ACTIONS_KEPT) this.#actions.shift()
      this.#send(message('action', data, id))
    }
    if (this.#streams.size === 0 || this.#isScheduled) return
    // Several events of one turn lead to one check.
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#sendStateIfChanged()
    })
  }

  #onInterval(): void {
    this.#sendStateIfChanged()
    this.#checks = (this.#checks + 1) % CHECKS_A_COMMENT
    if (this.#checks === 0) this.#send(':\n\n')
  }

  #sendStateIfChanged(): void {
    const state = ControlDocument.stringify(this.state())
    if (state === this.#sentState) return
    this.#sentState = state
    this.#send(message('state', state))
  }

  #send(text: string): void {
    for (const stream of [...this.#streams]) {
      if (stream.writableLength > UNREAD_BYTES_MAX) stream.destroy()
      else stream.write(text)
    }
  }

  #stopChecks(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}

function nodeState({ name, url, pid, paused, lastExit }: SupervisedNode): ControlledNode {
  if (pid === undefined) return { name, state: lastExit?.killed === true ? 'killed' : 'stopped', pid, url }
  return { name, state: paused ? 'paused' : 'running', pid, url }
}

const message = (event: string, data: string, id?: number): string =>
  `${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${data}\n\n`
