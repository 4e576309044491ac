// The newest messages, events and states of a run, for the space-time diagram. It keeps a bounded number of each.

import type { Decision } from '../../src/raft/index.ts'
import {
  DIAGRAM_MS_MAX,
  type DiagramEventKind,
  type DiagramEventView,
  type DiagramMessageView,
  type DiagramStateView,
  type DiagramView,
} from './fold-views.ts'
import type { MessageView } from './view.ts'

const KEPT = { messages: 400, heartbeats: 400, events: 200, states: 200 }

const EVENTS: Readonly<Partial<Record<Decision['kind'], DiagramEventKind>>> = {
  campaign: 'campaign',
  elected: 'elected',
  committed: 'committed',
  truncated: 'truncated',
  snapshot: 'snapshot',
}

export const isHeartbeat = (type: string): boolean => type === 'heartbeat' || type === 'heartbeat-answer'

/** Its view is another object after each change. */
interface SentMessage {
  view: DiagramMessageView
}

export class DiagramRecord {
  readonly #messages: SentMessage[] = []
  readonly #heartbeats: SentMessage[] = []
  /** Messages in flight by link and number, the first to arrive first. */
  readonly #inFlight = new Map<string, SentMessage[]>()
  readonly #events: DiagramEventView[] = []
  readonly #states: DiagramStateView[] = []
  readonly #newestStates = new Map<string, DiagramStateView>()
  readonly #stateOf: (node: string) => string
  /** A node that has changed its state at that time, or will before the next event. */
  #changing: { readonly node: string; readonly at: number } | undefined
  #numbers = 0

  constructor(nodes: readonly string[], stateOf: (node: string) => string) {
    this.#stateOf = stateOf
    for (const node of nodes) this.#enter(node, 0, stateOf(node))
  }

  sent(link: string, { from, to, number, type, term, label, sentAt, arrivesAt }: MessageView): void {
    this.#settle()
    const sent: SentMessage = {
      view: {
        ...{ id: `message ${this.#numbers++}`, from, to, number, type, term, label, sentAt },
        ...{ endsAt: arrivesAt, end: 'in flight' },
      },
    }
    const others = this.#inFlight.get(link)
    if (others === undefined) this.#inFlight.set(link, [sent])
    else others.push(sent)
    if (isHeartbeat(type)) keep(this.#heartbeats, sent, KEPT.heartbeats)
    else keep(this.#messages, sent, KEPT.messages)
  }

  delayed(link: string, arrivesAt: number): void {
    const [message] = this.#inFlight.get(link) ?? []
    if (message !== undefined) message.view = { ...message.view, endsAt: arrivesAt }
  }

  ended(link: string, arrived: boolean, at: number): void {
    this.#settle()
    const [message, ...copies] = this.#inFlight.get(link) ?? []
    if (message === undefined) return
    message.view = { ...message.view, end: arrived ? 'arrived' : 'lost', endsAt: at }
    if (copies.length === 0) this.#inFlight.delete(link)
    else this.#inFlight.set(link, copies)
  }

  decided(node: string, decision: Decision, at: number, text: string): void {
    this.#settle()
    const kind = EVENTS[decision.kind]
    if (kind !== undefined) this.#addEvent({ at, node, kind, label: labelOf(decision), text })
  }

  /** Something has happened to this node, or is about to. */
  noted(node: string, at: number): void {
    this.#settle()
    this.#changing = { node, at }
  }

  /** Its process is about to be gone. Where no other node runs, the next event is its start, too late to see that. */
  died(node: string, at: number): void {
    this.#settle()
    this.#change(node, at, 'down')
  }

  #addEvent(event: Omit<DiagramEventView, 'id'>): void {
    keep(this.#events, { id: `event ${this.#numbers++}`, ...event }, KEPT.events)
  }

  /** Reads the state of a node after the event that changed it. */
  #settle(): void {
    const changing = this.#changing
    if (changing === undefined) return
    this.#changing = undefined
    const { node, at } = changing
    this.#change(node, at, this.#stateOf(node))
  }

  #change(node: string, at: number, state: string): void {
    const before = this.#newestStates.get(node)?.state
    if (state === before) return
    this.#enter(node, at, state)
    if (state === 'down')
      this.#addEvent({ at, node, kind: 'crashed', label: 'down', text: `The process of ${node} is gone.` })
    else if (before === 'down')
      this.#addEvent({ at, node, kind: 'started', label: 'starts', text: `${node} starts.` })
  }

  #enter(node: string, at: number, state: string): void {
    const view = { node, at, state }
    this.#newestStates.set(node, view)
    keep(this.#states, view, KEPT.states)
  }

  view(now: number, hasHeartbeats: boolean): DiagramView {
    this.#settle()
    const since = now - DIAGRAM_MS_MAX
    const shown = newest(this.#messages, KEPT.messages, since)
    if (hasHeartbeats) {
      shown.push(...newest(this.#heartbeats, KEPT.heartbeats, since))
      shown.sort((a, b) => a.sentAt - b.sentAt)
    }
    const before = new Map<string, DiagramStateView>()
    // The list may have lost the state of a node that has not changed for long.
    for (const state of [...this.#states, ...this.#newestStates.values()])
      if (state.at < since) before.set(state.node, state)
    return {
      messages: shown,
      events: this.#events.slice(-KEPT.events).filter(({ at }) => at >= since),
      states: [...before.values(), ...this.#states.filter(({ at }) => at >= since)],
    }
  }
}

function labelOf(decision: Decision): string {
  switch (decision.kind) {
    case 'campaign':
      return decision.preVote ? '' : `term ${decision.term}?`
    case 'elected':
      return `leads ${decision.term}`
    case 'committed':
      return `commit ${decision.index}`
    case 'truncated':
      return decision.index === decision.last
        ? `deletes ${decision.index}`
        : `deletes ${decision.index}–${decision.last}`
    case 'snapshot':
      return 'snapshot'
    default:
      return ''
  }
}

const newest = (all: readonly SentMessage[], max: number, since: number): DiagramMessageView[] =>
  all.slice(-max).flatMap(({ view }) => (view.endsAt >= since ? [view] : []))

/** Keeps at least `max` of the newest, and at most twice as many. */
function keep<T>(all: T[], added: T, max: number): void {
  all.push(added)
  if (all.length > 2 * max) all.splice(0, all.length - max)
}
