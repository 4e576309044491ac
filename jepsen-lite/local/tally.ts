// What a run adds up to while it is recorded: operations by kind and outcome, latencies, and when the store last took a write.

import type { HistoryEvent, Operation } from '../history.ts'

export interface Latency {
  readonly count: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly max: number
}

export type Outcomes = Record<'ok' | 'not_applied' | 'fail' | 'unknown', number>

interface Open {
  readonly f: Operation['f']
  readonly at: number
}

const CHANGES: ReadonlySet<Operation['f']> = new Set(['put', 'del', 'cas', 'append', 'acquire', 'release'])

export class Tally {
  readonly operations = new Map<string, Outcomes>()
  readonly reasons = new Map<string, number>()
  readonly #open = new Map<number, Open>()
  readonly #latencies = new Map<string, number[]>()
  /** Begin and end of each change that was made, in the order of their ends. */
  readonly #changes: { readonly from: number; readonly to: number }[] = []
  okCount = 0

  add(event: HistoryEvent): void {
    if (event.type === 'invoke') this.#open.set(event.id, { f: event.op.f, at: event.time })
    if (event.type !== 'ok' && event.type !== 'fail' && event.type !== 'unknown') return
    const open = this.#open.get(event.id)
    if (open === undefined) return
    this.#open.delete(event.id)
    const outcomes = this.operations.get(open.f) ?? { ok: 0, not_applied: 0, fail: 0, unknown: 0 }
    this.operations.set(open.f, outcomes)
    if (event.type !== 'ok') {
      outcomes[event.type]++
      const why = `${event.type}: ${event.why}`
      this.reasons.set(why, (this.reasons.get(why) ?? 0) + 1)
      return
    }
    this.okCount++
    outcomes[event.result.applied === false ? 'not_applied' : 'ok']++
    const latencies = this.#latencies.get(open.f) ?? []
    this.#latencies.set(open.f, latencies)
    latencies.push(event.time - open.at)
    if (CHANGES.has(open.f)) this.#changes.push({ from: open.at, to: event.time })
  }

  /** How long after `time` a change had succeeded that began after it; undefined: none has. */
  recoveryAfter(time: number): number | undefined {
    const first = this.#changes.find(({ from }) => from >= time)
    return first === undefined ? undefined : first.to - time
  }

  /** A change has succeeded that began after `time`. */
  worksSince(time: number): boolean {
    // From the newest back to those that had ended before.
    const last = this.#changes.findLast(({ from, to }) => from >= time || to < time)
    return last !== undefined && last.from >= time
  }

  latency(): Record<string, Latency> {
    return Object.fromEntries([...this.#latencies].map(([f, values]) => [f, latencyOf(values)]))
  }
}

export function latencyOf(values: readonly number[]): Latency {
  const sorted = [...values].sort((a, b) => a - b)
  const quantile = (q: number): number =>
    round(sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0)
  return {
    count: sorted.length,
    p50: quantile(0.5),
    p90: quantile(0.9),
    p99: quantile(0.99),
    max: quantile(1),
  }
}

export const round = (ms: number): number => Math.round(ms * 1_000) / 1_000
