// Whether clients of recipes were stopped or killed while they held a lock, led, or had an item of a queue. A run in
// which that never happens shows nothing of fencing.

import type { AnyOperation, HistoryEvent } from '../workload/history.ts'

const TAKES: ReadonlySet<AnyOperation['f']> = new Set<AnyOperation['f']>(['lock', 'pop'])
const GIVES: ReadonlySet<AnyOperation['f']> = new Set<AnyOperation['f']>(['unlock', 'ack', 'nack'])

export class Holders {
  /** How often a process of clients was stopped or killed. */
  faults = 0
  /** How often one of its clients held something then. */
  faultsWhileHolding = 0
  readonly #open = new Map<number, { readonly client: string; readonly f: AnyOperation['f'] }>()
  readonly #holding = new Set<string>()

  add(event: HistoryEvent): void {
    if (event.type === 'invoke') {
      const client = String(event.client)
      this.#open.set(event.id, { client, f: event.op.f })
      if (TAKES.has(event.op.f)) this.#holding.delete(client)
    } else if (event.type === 'note') this.#note(event)
    else if (event.type === 'ok' || event.type === 'fail' || event.type === 'unknown') {
      const open = this.#open.get(event.id)
      this.#open.delete(event.id)
      if (open === undefined) return
      if (GIVES.has(open.f)) this.#holding.delete(open.client)
      if (event.type === 'ok' && TAKES.has(open.f) && event.result.token !== undefined)
        this.#holding.add(open.client)
    }
  }

  /** `clients` is the name of a process; the names of its clients begin with it. */
  #note({ what, clients }: Extract<HistoryEvent, { type: 'note' }>): void {
    const isKill = what.startsWith('clients kill')
    if (!isKill && !what.startsWith('clients stop')) return
    const holding = [...this.#holding].filter((client) => client.startsWith(`${String(clients)}.`))
    this.faults += 1
    if (holding.length > 0) this.faultsWhileHolding += 1
    if (isKill) for (const client of holding) this.#holding.delete(client)
  }
}
