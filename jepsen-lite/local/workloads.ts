// The operations of the clients. Each workload makes random operations for which the checker has a model. Values are
// unique, so a read shows which write it saw. All workloads also list the keys.

import { RECIPES, type Recipe } from '../sim/index.ts'
import type {
  HistoryOperation,
  OperationEnd,
  ReadFields,
  RecordedRange,
  RecordedResult,
} from '../workload/history.ts'
import type { Random } from '../workload/random.ts'
import { LOG } from './run-watchers.ts'
import { sizedName } from './values.ts'
import type { WireFeatures } from './wires/wire.ts'
import type { Draw, Surroundings, Workload } from './workload.ts'
import { LeaseWorkload } from './workload-lease.ts'
import { ListAppend } from './workload-txn.ts'
import { EventsWorkload } from './workload-watch.ts'

export const WORKLOADS = [
  'register',
  'kv',
  'append',
  'cas',
  'cas-lock',
  'txn',
  'watch',
  'lease',
  ...RECIPES,
] as const
export type WorkloadName = (typeof WORKLOADS)[number]

/** Watches besides the one that tells the log. Only histories of these workloads have a log. */
export const WATCHES: Readonly<Partial<Record<WorkloadName, number>>> = {
  watch: 8,
  lease: 1,
  lock: 1,
  queue: 1,
  election: 1,
}

/** Fields of a workload in the header of a history. */
export const historyHeader = (name: WorkloadName): { readonly complete: boolean; readonly log?: string } => ({
  // Recipes make changes of their own.
  complete: !isRecipe(name),
  ...(WATCHES[name] !== undefined && { log: LOG }),
})

export const isRecipe = (name: WorkloadName): name is Recipe => RECIPES.some((recipe) => recipe === name)

/**
 * The keys that all clients share. There are few at a time, so that clients use the same ones. After `operationsMax`
 * operations a key is replaced by a new one, so that the history of one key stays short enough for the checker.
 */
class KeyPool {
  readonly #live: number
  readonly #operationsMax: number
  readonly #slots: { generation: number; operations: number }[]

  constructor(live: number, operationsMax: number) {
    this.#live = live
    this.#operationsMax = operationsMax
    this.#slots = Array.from({ length: live }, () => ({ generation: 0, operations: 0 }))
  }

  pick(random: Random): string {
    const at = random.below(this.#live)
    const slot = this.#slots[at]
    if (slot === undefined) throw new RangeError(`no key ${at}`)
    slot.operations++
    if (slot.operations > this.#operationsMax) {
      slot.generation++
      slot.operations = 1
    }
    return `k${at}/${slot.generation}`
  }
}

const KEYS: Readonly<Partial<Record<WorkloadName, readonly [live: number, operationsMax: number]>>> = {
  append: [5, 80],
  'cas-lock': [2, 250],
  txn: [4, 60],
  watch: [8, 200],
  lease: [60, 40],
}

export function keysFor(name: WorkloadName): KeyPool {
  const [live, operationsMax] = KEYS[name] ?? [5, 250]
  return new KeyPool(live, operationsMax)
}

export function createWorkload(
  name: Exclude<WorkloadName, Recipe>,
  client: number,
  keys: KeyPool,
  random: Random,
  surroundings: Surroundings,
): Workload {
  let written = 0
  const unique = (): string => {
    written++
    return `${client}.${written}`
  }
  const draw = { key: () => keys.pick(random), unique, sized: () => sizedName(unique(), random), random }
  switch (name) {
    case 'register':
      return withLists(
        draw,
        stateless(() => register(draw)),
      )
    case 'append':
      return withLists(
        draw,
        stateless(() => append(draw)),
      )
    case 'cas':
      return withLists(draw, new CompareAndSet(draw))
    case 'cas-lock':
      return withLists(draw, new Lock(client, draw))
    case 'txn':
      return withLists(draw, new ListAppend(draw, surroundings))
    case 'watch':
      return withLists(draw, new EventsWorkload(draw, surroundings))
    case 'lease':
      return withLists(draw, new LeaseWorkload(draw, surroundings))
    case 'kv':
      return new KeyValue(client, draw, surroundings)
  }
}

/** The workload, with one list in twenty operations. */
function withLists(draw: Draw, workload: Workload): Workload {
  const lists = new Lists(draw)
  return {
    next: () => (draw.random.chance(0.05) ? lists.next() : workload.next()),
    ended(op, end) {
      if (op.f === 'range') lists.ended(op, end)
      else workload.ended(op, end)
    },
  }
}

/** Limits for lists; often less than the number of keys. */
const LIMITS = [1, 2, 3, 10, 50]

/** Lists with all options. If a list was not complete, the next one often continues after it. */
class Lists {
  readonly #draw: Draw
  #unfinished: RecordedRange | undefined

  constructor(draw: Draw) {
    this.#draw = draw
  }

  next(): RecordedRange {
    const { random } = this.#draw
    const unfinished = this.#unfinished
    this.#unfinished = undefined
    if (unfinished !== undefined && random.chance(0.6)) return unfinished
    const counts = random.next()
    return {
      ...this.#drawBounds(),
      ...(random.chance(0.5) && { limit: random.pick(LIMITS) }),
      ...(random.chance(0.4) && { order: 'desc' as const }),
      ...(random.chance(0.3) && { keysOnly: true as const }),
      ...(counts < 0.2 && { count: true as const }),
      ...(counts > 0.3 && counts < 0.4 && { countOnly: true as const }),
      ...(counts > 0.6 && { stream: true as const }),
    }
  }

  ended(op: RecordedRange, end: OperationEnd): void {
    if (end.kind !== 'ok' || end.result.more !== true || end.result.next === undefined) return
    // The next page gets a new consistency and new bounds.
    const { consistency: _, maxStalenessMs: _age, minRevision: _least, ...list } = op
    this.#unfinished = { ...list, after: end.result.next }
  }

  #drawBounds(): RecordedRange {
    const { key, random } = this.#draw
    const draw = random.next()
    if (draw < 0.5) return { f: 'range', prefix: key().replace(/[0-9]+$/, '') }
    if (draw < 0.7) return { f: 'range' }
    const after = random.chance(0.2) ? { after: key() } : {}
    if (draw < 0.8) return { f: 'range', start: key(), ...after }
    if (draw < 0.9) return { f: 'range', end: key(), ...after }
    const [start = '', end = ''] = [key(), key()].sort()
    return { f: 'range', start, end, ...after }
  }
}

const stateless = (next: () => HistoryOperation): Workload => ({ next, ended() {} })

function register({ key, sized, random }: Draw): HistoryOperation {
  const draw = random.next()
  if (draw < 0.5) return { f: 'get', key: key() }
  if (draw < 0.95) return { f: 'put', key: key(), value: sized() }
  return { f: 'del', key: key() }
}

function append({ key, unique, random }: Draw): HistoryOperation {
  return random.chance(0.4) ? { f: 'get', key: key() } : { f: 'append', key: key(), value: `${unique()} ` }
}

/** Most compare-and-sets expect the value that this client saw last; some expect a value that was never written. */
class CompareAndSet implements Workload {
  readonly #draw: Draw
  readonly #seen = new Map<string, string | null>()

  constructor(draw: Draw) {
    this.#draw = draw
  }

  next(): HistoryOperation {
    const { key, unique, random } = this.#draw
    const chosen = key()
    const draw = random.next()
    if (draw < 0.35) return { f: 'get', key: chosen }
    if (draw < 0.5) return { f: 'put', key: chosen, value: unique() }
    const from = random.chance(0.95) ? (this.#seen.get(chosen) ?? null) : 'never'
    return { f: 'cas', key: chosen, from, to: unique() }
  }

  ended(op: HistoryOperation, end: OperationEnd): void {
    if (end.kind !== 'ok' || op.f === 'range') return
    if (op.f === 'put') this.#seen.set(op.key, op.value)
    else if (op.f === 'cas' && end.result.applied !== false) this.#seen.set(op.key, op.to)
    else if (end.result.value !== undefined) this.#seen.set(op.key, end.result.value)
  }
}

/** Acquires a lock and releases it with its fencing token. Sometimes it tries to release it with an old token. */
class Lock implements Workload {
  readonly #owner: string
  readonly #draw: Draw
  #held: { readonly key: string; readonly token: number } | undefined
  #former: { readonly key: string; readonly token: number } | undefined

  constructor(client: number, draw: Draw) {
    this.#owner = `c${client}`
    this.#draw = draw
  }

  next(): HistoryOperation {
    const { key, random } = this.#draw
    const owner = this.#owner
    if (this.#former !== undefined && random.chance(0.1)) return { f: 'release', owner, ...this.#former }
    if (this.#held !== undefined) return { f: 'release', owner, ...this.#held }
    return random.chance(0.2) ? { f: 'get', key: key() } : { f: 'acquire', key: key(), owner }
  }

  ended(op: HistoryOperation, end: OperationEnd): void {
    if (op.f === 'release' && end.kind !== 'fail') {
      this.#former = { key: op.key, token: op.token }
      if (this.#held?.token === op.token) this.#held = undefined
    }
    if (op.f !== 'acquire' || end.kind !== 'ok' || end.result.applied === false) return
    const { modRevision } = end.result
    if (modRevision !== undefined) this.#held = { key: op.key, token: modRevision }
  }
}

/** A change that may have been sent with an idempotency token. */
type Change = Extract<HistoryOperation, { f: 'put' | 'del' }>

/**
 * All requests of the wire: every kind of read and change, conditions, idempotency tokens, and changes that are sent
 * again with the same token.
 */
class KeyValue implements Workload {
  readonly #client: number
  readonly #draw: Draw
  readonly #lists: Lists
  readonly #features: WireFeatures
  readonly #revisions = new Map<string, number | undefined>()
  #tokens = 0
  /** The highest revision that this client has seen. */
  #newest: number | undefined
  /**
   * Changes with a token that are to be sent again: those of unknown outcome, and some that were answered, to check
   * that they are not applied twice.
   */
  #repeats: Change[] = []

  constructor(client: number, draw: Draw, { features }: Surroundings) {
    this.#client = client
    this.#draw = draw
    this.#features = features
    this.#lists = new Lists(draw)
  }

  next(): HistoryOperation {
    const { random } = this.#draw
    if (this.#repeats.length > 0 && random.chance(0.5)) {
      const change = this.#repeats.shift()
      if (change !== undefined) return change
    }
    return random.chance(0.5) ? this.#drawRead() : this.#drawChange()
  }

  ended(op: HistoryOperation, end: OperationEnd): void {
    const { random } = this.#draw
    const mayRepeat = (op.f === 'put' || op.f === 'del') && op.idempotency !== undefined
    if (mayRepeat && end.kind === 'unknown') this.#repeats.push(op)
    if (op.f === 'range') this.#lists.ended(op, end)
    if (end.kind !== 'ok') return
    if (mayRepeat && random.chance(0.1) && end.result.replayed !== true) this.#repeats.push(op)
    this.#learn(op, end.result)
  }

  #learn(op: HistoryOperation, result: RecordedResult): void {
    this.#newest = Math.max(this.#newest ?? 0, result.revision ?? 0, result.modRevision ?? 0) || undefined
    if (op.f === 'range' || result.replayed === true) return
    if (op.f === 'del' && result.applied !== false) this.#revisions.set(op.key, undefined)
    else if (result.applied === false) this.#revisions.set(op.key, result.current ?? undefined)
    else this.#revisions.set(op.key, result.modRevision)
  }

  #drawRead(): HistoryOperation {
    const { key, random } = this.#draw
    const draw = random.next()
    const { freshness } = this.#features
    const consistency =
      draw < 0.45 ? 'linearizable' : draw < 0.6 ? (freshness ? 'lease' : 'linearizable') : 'stale'
    const bounds = freshness ? this.#drawBounds(consistency) : {}
    if (random.chance(0.25)) return { ...this.#lists.next(), consistency, ...bounds }
    return { f: 'get', key: key(), consistency, ...bounds }
  }

  #drawBounds(consistency: string): ReadFields {
    const { random } = this.#draw
    return {
      ...(consistency === 'stale' && random.chance(0.4)
        ? { maxStalenessMs: random.pick([50, 200, 1_000]) }
        : {}),
      ...(this.#newest !== undefined && random.chance(0.2) ? { minRevision: this.#newest } : {}),
    }
  }

  #drawChange(): HistoryOperation {
    const { key, sized, random } = this.#draw
    const chosen = key()
    const revision = this.#revisions.get(chosen)
    const draw = random.next()
    const condition =
      draw < 0.5
        ? {}
        : revision === undefined || draw > 0.9
          ? { ifAbsent: true as const }
          : { ifRevision: revision }
    this.#tokens++
    const hasToken = random.chance(0.5) && this.#features.idempotencyTokens
    const token = hasToken ? { idempotency: `t${this.#client}-${this.#tokens}` } : {}
    if (random.chance(0.15)) {
      const { ifAbsent: _, ...held } = { ifAbsent: undefined, ...condition }
      return { f: 'del', key: chosen, ...held, ...token }
    }
    return { f: 'put', key: chosen, value: sized(), ...condition, ...token }
  }
}
