// Two questions for the checker. Did any answer break the promise of its own level? That must never happen. And how
// many answers of the weaker levels are wrong for a client that takes them for linearizable? That is the price of those
// levels, which the study measures.

import { anomalyText, type CheckResult, check, type Linearizability, MODELS } from '../checker/index.ts'
import { checkLinearizability } from '../checker/linearizability.ts'
import type { History, HistoryCall } from '../workload/history.ts'
import { type Level, type PartitionSide, parseStreamName, STRICT } from './levels.ts'

export interface Judgement {
  readonly checked: CheckResult
  /**
   * Findings, by the level and side of the answer that broke its promise; 'store' if it is not an answer of a client.
   */
  readonly broken: ReadonlyMap<string, readonly string[]>
  /** Ids of the reads of weaker levels whose answer a linearizable store could not have given. */
  readonly outdated: ReadonlySet<number>
  /** The number of reads of weaker levels for which the search ran out of its budget. */
  readonly undecided: number
}

export const STORE = 'store'
export const streamKey = (level: Level, side: PartitionSide): string => `${level} ${side}`

export function judge(history: History): Judgement {
  const checked = check(history)
  return { checked, broken: brokenBy(history, checked), ...outdatedReads(history) }
}

function brokenBy(history: History, { findings }: CheckResult): Judgement['broken'] {
  const calls = new Map(history.calls.map((call) => [call.id, call]))
  const broken = new Map<string, string[]>()
  for (const finding of findings) {
    // The last call is the answer that does not fit the calls before it.
    const call = calls.get(finding.calls.at(-1) ?? Number.NaN)
    const stream = call && parseStreamName(call.client)
    const by = stream === undefined ? STORE : streamKey(stream.level, stream.side)
    const messages = broken.get(by)
    if (messages === undefined) broken.set(by, [anomalyText(finding)])
    else messages.push(anomalyText(finding))
  }
  return broken
}

/**
 * Each read of a weaker level is added separately to the operations of its key that promise linearizability, as if it
 * promised that too. Is there still an order that explains them all? Only the value and the revision of the key count:
 * writes to other keys do not make the answer wrong for this key. If there is no order even without the read, the read
 * is not judged.
 */
function outdatedReads(history: History): Pick<Judgement, 'outdated' | 'undecided'> {
  const outdated = new Set<number>()
  let undecided = 0
  for (const { strict, weak } of groupByKey(history)) {
    if (explain(history, strict) !== 'linearizable') continue
    for (const call of weak) {
      const verdict = explain(history, [...strict, call])
      if (verdict === 'undecided') undecided++
      if (verdict === 'impossible') outdated.add(call.id)
    }
  }
  return { outdated, undecided }
}

/** The calls of one key: all that promise linearizability, and the answered reads that do not. */
interface KeyCalls {
  readonly strict: HistoryCall[]
  readonly weak: HistoryCall[]
}

function groupByKey({ calls }: History): Iterable<KeyCalls> {
  const keys = new Map<string, KeyCalls>()
  for (const call of calls) {
    const stream = parseStreamName(call.client)
    if (stream === undefined || call.op.f === 'range') continue
    const known = keys.get(call.op.key)
    const key = known ?? { strict: [], weak: [] }
    if (known === undefined) keys.set(call.op.key, key)
    if (STRICT.has(stream.level)) key.strict.push(withoutStore(call))
    else if (call.outcome.kind === 'ok') key.weak.push(withoutStore(call))
  }
  return keys.values()
}

function explain(history: History, calls: readonly HistoryCall[]): Linearizability['verdict'] {
  const model = MODELS.get('versioned-register')
  if (model === undefined) throw new RangeError('no model versioned-register')
  const inOrder = calls.toSorted((a, b) => a.start - b.start)
  return checkLinearizability({ ...history, calls: inOrder, notes: [], finals: [] }, model).verdict
}

/** The call as a linearizable operation of a store with this key alone: the revision of that store is the key's. */
function withoutStore(call: HistoryCall): HistoryCall {
  const { op, outcome } = call
  const bare: HistoryCall = op.f === 'get' ? { ...call, op: { f: 'get', key: op.key } } : call
  if (outcome.kind !== 'ok') return bare
  const { value, modRevision } = outcome.result
  const result = {
    ...(value === undefined ? {} : { value }),
    ...(modRevision === undefined ? {} : { modRevision, revision: modRevision }),
  }
  return { ...bare, outcome: { kind: 'ok', result } }
}
