// Faults of one run, in its history for the report, and in its trace. The notes are those of every history of
// jepsen-lite (workload/history.ts): `inject` and `heal` of a fault, and what nodes and processes are.

import type { RecordedHistory } from '../history/recorded-history.ts'

type Details = Readonly<Record<string, unknown>>

/** Changes of the state of a node or a process. */
export type StateNote =
  | 'start'
  | 'kill'
  | 'ended'
  | 'pause'
  | 'resume'
  | 'block'
  | 'unblock'
  | 'add'
  | 'remove'

export class FaultNotes {
  readonly #history: RecordedHistory
  readonly #observe: (what: string) => void
  readonly #isNode: (name: string) => boolean
  #ids = 0
  #isScheduled = false
  /** Faults of single nodes and processes that the body of the test has begun. */
  readonly #ends = new Map<string, () => void>()

  /** `observe`: of the trace. */
  constructor(history: RecordedHistory, observe: (what: string) => void, isNode: (name: string) => boolean) {
    this.#history = history
    this.#observe = observe
    this.#isNode = isNode
  }

  /** `text`: for the trace. */
  state(what: StateNote, name: string, text?: string): void {
    if (text !== undefined) this.#observe(text)
    this.#history.note(what, this.#isNode(name) ? { node: name } : { process: name })
  }

  /** A fault begins, and lasts until the result is called. `effect`: names of those that it strikes; null: none. */
  begin(
    kind: string,
    names: readonly string[],
    text: string,
    { effect = names.join(' '), ...details }: Details = {},
  ): () => void {
    this.#observe(text)
    this.#ids += 1
    const id = this.#ids
    const nodes = names.filter((name) => this.#isNode(name))
    const processes = names.filter((name) => !nodes.includes(name))
    const struck = processes.length === 0 ? { nodes } : { nodes, processes }
    this.#history.note('inject', { fault: kind, id, ...struck, ...details, effect })
    return () => this.#history.note('heal', { fault: kind, id })
  }

  /** A fault of one node or process begins, and lasts until `healed`. A scheduled fault has its own note. */
  struck(kind: string, name: string, text = `${kind} ${name}`, details: Details = {}): void {
    this.healed(kind, name)
    if (this.#isScheduled) this.#observe(text)
    else this.#ends.set(`${kind} ${name}`, this.begin(kind, [name], text, details))
  }

  healed(kind: string, name: string): void {
    const end = this.#ends.get(`${kind} ${name}`)
    this.#ends.delete(`${kind} ${name}`)
    end?.()
  }

  /** A fault of one node or process with an amount, of which one is that of no fault. */
  by(kind: string, name: string, amount: number, none: number): void {
    const text = `${kind} ${name} by ${amount}`
    if (amount !== none) {
      this.struck(kind, name, text, { by: amount })
      return
    }
    this.#observe(text)
    this.healed(kind, name)
  }

  /** Runs a part of a scheduled fault. */
  scheduled<T>(run: () => T): T {
    this.#isScheduled = true
    try {
      return run()
    } finally {
      this.#isScheduled = false
    }
  }

  /** A scheduled fault strikes nobody. */
  missed(kind: string, why: string): void {
    this.#observe(`no ${kind}: ${why}`)
    this.#history.note('no fault', { fault: kind, why })
  }

  /** Adds a line to the trace alone. */
  observe(text: string): void {
    this.#observe(text)
  }
}
