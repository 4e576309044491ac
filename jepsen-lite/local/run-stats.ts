// Statistics of a run, updated while it is recorded: operations by kind and outcome, features of the store that were
// used, latencies, and when the store last accepted a write.

import { Holders } from '../recipes/holders.ts'
import type {
  AnyOperation,
  FailEvent,
  HistoryEvent,
  OkEvent,
  RecordedResult,
  UnknownEvent,
} from '../workload/history.ts'

export interface Latency {
  readonly count: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly max: number
}

export type OutcomeCounts = Record<'ok' | 'not_applied' | 'fail' | 'unknown', number>

/** How often a feature of the store was asked for, and how often that was answered. */
export interface Feature {
  requested: number
  answered: number
}

interface OpenOperation {
  readonly f: AnyOperation['f']
  readonly at: number
  readonly features: readonly string[]
}

const CHANGES: ReadonlySet<AnyOperation['f']> = new Set<AnyOperation['f']>([
  ...(['put', 'del', 'cas', 'append', 'acquire', 'release', 'del-range', 'compact'] as const),
  ...(['grant', 'revoke', 'lock', 'unlock', 'guarded-put', 'push', 'pop', 'ack', 'nack'] as const),
])

/** Operations of recipes: a refusal may come from the client library itself, and so may the answer to an unlock. */
const OF_RECIPES: ReadonlySet<AnyOperation['f']> = new Set<AnyOperation['f']>([
  ...(['lock', 'guarded-put', 'ack', 'nack'] as const),
])

export class RunStats {
  readonly operations = new Map<string, OutcomeCounts>()
  readonly reasons = new Map<string, number>()
  readonly features = new Map<string, Feature>()
  /**
   * Operations that changed or showed something, by kind. `asked` also counts failed and unknown ones, but no refused
   * conditions and no empty answers.
   */
  readonly effects = new Map<string, Feature>()
  /** Counts of refused conditions and empty answers, by the names of features. */
  readonly without = new Map<string, number>()
  readonly holders = new Holders()
  readonly #open = new Map<number, OpenOperation>()
  readonly #latencies = new Map<string, number[]>()
  /** The start and end of each change that was answered, in the order of their ends. */
  readonly #changes: { readonly from: number; readonly to: number }[] = []
  okCount = 0

  add(event: HistoryEvent): void {
    this.holders.add(event)
    if (event.type === 'invoke') {
      const features = [...listFeatures(event.op)]
      if (event.transaction !== undefined) features.push(`${event.op.f} in a transaction`)
      for (const name of features) findFeature(this.features, name).requested++
      this.#open.set(event.id, { f: event.op.f, at: event.time, features })
    }
    if (event.type !== 'ok' && event.type !== 'fail' && event.type !== 'unknown') return
    const open = this.#open.get(event.id)
    if (open === undefined) return
    this.#open.delete(event.id)
    this.#countEffect(open.f, event)
    const outcomes = this.operations.get(open.f) ?? { ok: 0, not_applied: 0, fail: 0, unknown: 0 }
    this.operations.set(open.f, outcomes)
    if (event.type !== 'ok') {
      outcomes[event.type]++
      const why = `${event.type}: ${event.why}`
      this.reasons.set(why, (this.reasons.get(why) ?? 0) + 1)
      return
    }
    for (const name of open.features) findFeature(this.features, name).answered++
    this.okCount++
    outcomes[event.result.applied === false ? 'not_applied' : 'ok']++
    const latencies = this.#latencies.get(open.f) ?? []
    this.#latencies.set(open.f, latencies)
    latencies.push(event.time - open.at)
    const isRefused = event.result.applied === false
    // A compare-and-set that found another value has only read, and so has a pop that found nothing.
    const hasOnlyRead =
      (isRefused && (open.f === 'cas' || OF_RECIPES.has(open.f))) ||
      (open.f === 'pop' && event.result.value === null) ||
      open.f === 'unlock'
    const hasWritten = CHANGES.has(open.f) && !hasOnlyRead
    if (hasWritten) this.#changes.push({ from: open.at, to: event.time })
  }

  #countEffect(f: AnyOperation['f'], event: OkEvent | FailEvent | UnknownEvent): void {
    const isDone = event.type === 'ok' && hasEffect(event.result)
    const name = CHANGES.has(f) ? `${f} that changes something` : `${f} that shows something`
    if (event.type === 'ok' && !isDone) {
      this.without.set(name, (this.without.get(name) ?? 0) + 1)
      return
    }
    const effect = findFeature(this.effects, name)
    effect.requested++
    if (isDone) effect.answered++
  }

  /** The time from `time` until the first change that began after it succeeded; undefined if there was none. */
  recoveryAfter(time: number): number | undefined {
    const first = this.#changes.find(({ from }) => from >= time)
    return first === undefined ? undefined : first.to - time
  }

  /** Whether a change has succeeded that began after `time`. */
  worksSince(time: number): boolean {
    // Searches from the newest change back to the changes that ended before `time`.
    const last = this.#changes.findLast(({ from, to }) => from >= time || to < time)
    return last !== undefined && last.from >= time
  }

  latency(): Record<string, Latency> {
    return Object.fromEntries([...this.#latencies].map(([f, values]) => [f, computeLatency(values)]))
  }
}

function findFeature(features: Map<string, Feature>, name: string): Feature {
  const known = features.get(name) ?? { requested: 0, answered: 0 }
  features.set(name, known)
  return known
}

/** Whether the operation has changed something or shown data. */
const hasEffect = ({ applied, deleted, removed, value, rows }: RecordedResult): boolean =>
  applied !== false && deleted !== 0 && removed !== 0 && value !== null && rows?.length !== 0

/** A feature that was asked for less often than this may fail by chance. */
const ASKED_MIN = 20
/** Faults prevent many answers. But if a feature works, more than this part of its requests is answered. */
const ANSWERED_PART_MIN = 0.05

/** Processes of clients must be stopped or killed so often before it is strange that none of them held anything. */
const STRUCK_MIN = 5

/** Messages about features that did not work for clients: the run proves nothing about them. */
export function lackingFeatures({ features, effects, without, holders }: RunStats): string[] {
  const unanswered = [...features]
    .filter(
      ([, { requested, answered }]) => requested >= ASKED_MIN && answered < requested * ANSWERED_PART_MIN,
    )
    .map(
      ([name, { requested, answered }]) =>
        `only ${answered} of ${requested} operations that request ${name} were answered`,
    )
  const names = new Set([...effects.keys(), ...without.keys()])
  const none = [...names].flatMap((name) => {
    const { requested, answered } = effects.get(name) ?? { requested: 0, answered: 0 }
    const refused = without.get(name) ?? 0
    if (answered > 0 || requested + refused < ASKED_MIN) return []
    return [
      `there was no ${name}: all ${requested + refused} tries failed, are of unknown outcome, or found nothing to do`,
    ]
  })
  const idle =
    holders.faults >= STRUCK_MIN && holders.faultsWhileHolding === 0
      ? [`clients were stopped or killed ${holders.faults} times, and never while one of them held anything`]
      : []
  return [...unanswered, ...none, ...idle]
}

/** The kind of an operation, and the features of the store that it uses. */
function* listFeatures(op: AnyOperation): Generator<string> {
  yield op.f
  if (op.f === 'get' || op.f === 'range') {
    const { consistency = 'linearizable', maxStalenessMs, minRevision } = op
    yield `${op.f} ${consistency}`
    if (maxStalenessMs !== undefined) yield 'a bound on staleness'
    if (minRevision !== undefined) yield 'a least revision'
  }
  if (op.f === 'get' && op.at !== undefined) yield 'get of the past'
  if (op.f === 'range') {
    for (const [name, value] of Object.entries(op)) {
      if (LIST_OPTIONS.has(name)) yield `range ${name}${name === 'order' ? ` ${value}` : ''}`
    }
  }
  if ('idempotency' in op) yield 'an idempotency token'
  if (op.f !== 'put' && op.f !== 'del') return
  if (op.f === 'put' && op.lease !== undefined) yield 'put with a lease'
  if (op.f === 'put' && op.ttlMs !== undefined) yield 'put with a time to live'
  const condition = op.ifAbsent ? 'if absent' : op.ifRevision !== undefined ? 'if at a revision' : undefined
  if (condition === undefined) return
  yield `${op.f} ${condition}`
  if (op.idempotency !== undefined) yield `${op.f} ${condition} under a token`
}

const LIST_OPTIONS: ReadonlySet<string> = new Set([
  ...['prefix', 'start', 'end', 'after', 'limit', 'order', 'keysOnly', 'count', 'countOnly', 'stream'],
])

export function computeLatency(values: readonly number[]): Latency {
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
