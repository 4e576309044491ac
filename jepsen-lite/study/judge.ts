// Two questions for the checker. Did any answer break the promise of its own level? That must never be. And how many of
// the answers that promised less would be wrong if somebody took them for linearizable? That is the price of those
// levels, and what the study is about.

import { check, type Linearizability, MODELS, type Verdict } from '../checker/index.ts'
import { checkLinearizability } from '../checker/linearizability.ts'
import type { Call, History } from '../history.ts'
import { type Level, type Side, STRICT, streamOf } from './levels.ts'

export interface Judgement {
  readonly verdict: Verdict
  /** Findings by the level and side of the answer that broke its promise; 'store' where no single answer did. */
  readonly broken: ReadonlyMap<string, readonly string[]>
  /** Ids of the reads that promised no linearizability and could not have been answered so by a linearizable store. */
  readonly outdated: ReadonlySet<number>
  /** Those of which the search did not find out. */
  readonly undecided: number
}

export const STORE = 'store'
export const streamKey = (level: Level, side: Side): string => `${level} ${side}`

export function judge(history: History): Judgement {
  const verdict = check(history)
  return { verdict, broken: brokenBy(history, verdict), ...outdatedReads(history) }
}

function brokenBy(history: History, { findings }: Verdict): Judgement['broken'] {
  const calls = new Map(history.calls.map((call) => [call.id, call]))
  const broken = new Map<string, string[]>()
  for (const { check: promise, message, calls: ids } of findings) {
    // The last of them is the answer that fits to nothing before it.
    const call = calls.get(ids.at(-1) ?? Number.NaN)
    const stream = call && streamOf(call.client)
    const by = stream === undefined ? STORE : streamKey(stream.level, stream.side)
    const messages = broken.get(by)
    if (messages === undefined) broken.set(by, [`${promise}: ${message}`])
    else messages.push(`${promise}: ${message}`)
  }
  return broken
}

/**
 * Each such read alone is put among the operations of its key that did promise linearizability, as if it had promised
 * it too: is there still an order that explains them all? By its value and its key's revision only: that the store had
 * gone on meanwhile hurts nobody who reads this key. Where there is no order even without it, nothing can be said of
 * it.
 */
function outdatedReads(history: History): Pick<Judgement, 'outdated' | 'undecided'> {
  const outdated = new Set<number>()
  let undecided = 0
  for (const { strict, weak } of keysOf(history)) {
    if (explain(history, strict) !== 'linearizable') continue
    for (const call of weak) {
      const verdict = explain(history, [...strict, call])
      if (verdict === 'undecided') undecided++
      if (verdict === 'impossible') outdated.add(call.id)
    }
  }
  return { outdated, undecided }
}

/** The calls of one key: those that promise linearizability, and the answered ones that do not. */
interface KeyCalls {
  readonly strict: Call[]
  readonly weak: Call[]
}

function keysOf({ calls }: History): Iterable<KeyCalls> {
  const keys = new Map<string, KeyCalls>()
  for (const call of calls) {
    const stream = streamOf(call.client)
    if (stream === undefined || call.op.f === 'range') continue
    const known = keys.get(call.op.key)
    const key = known ?? { strict: [], weak: [] }
    if (known === undefined) keys.set(call.op.key, key)
    if (STRICT.has(stream.level)) key.strict.push(withoutStore(call))
    else if (call.outcome.kind === 'ok') key.weak.push(withoutStore(call))
  }
  return keys.values()
}

function explain(history: History, calls: readonly Call[]): Linearizability['verdict'] {
  const model = MODELS.get('versioned-register')
  if (model === undefined) throw new RangeError('no model versioned-register')
  const inOrder = calls.toSorted((a, b) => a.start - b.start)
  return checkLinearizability({ ...history, calls: inOrder, notes: [], finals: [] }, model).verdict
}

/** As a linearizable operation of a store that holds nothing but its key: the revision of that store is the key's. */
function withoutStore(call: Call): Call {
  const { op, outcome } = call
  const bare: Call = op.f === 'get' ? { ...call, op: { f: 'get', key: op.key } } : call
  if (outcome.kind !== 'ok') return bare
  const { value, modRevision } = outcome.result
  const result = {
    ...(value === undefined ? {} : { value }),
    ...(modRevision === undefined ? {} : { modRevision, revision: modRevision }),
  }
  return { ...bare, outcome: { kind: 'ok', result } }
}
