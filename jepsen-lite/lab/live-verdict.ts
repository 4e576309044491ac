// The verdict of jepsen-lite's checker on the answers so far, for people who watch a run.

import { checkLinearizability, type Linearizability } from '../checker/linearizability.ts'
import { MODELS } from '../checker/models/index.ts'
import { isStaleRead, type KeyCall, partition } from '../checker/partition.ts'
import { formatOperation } from '../report/format-operation.ts'
import type { StoreModel } from '../sim/oracle/model.ts'
import type { BrokenRead } from '../sim/oracle/violation.ts'
import {
  buildHistory,
  type HistoryCall,
  type HistoryEvent,
  type RecordedResult,
} from '../workload/history.ts'
import type { EffectView, StaleReadView, UnorderedView, VerdictView } from './fold-views.ts'

/** Configurations that the search of one key may enter. A search of so many takes milliseconds. */
const CONFIGURATIONS_MAX = 5000
const CALLS_MAX = 2000

type Log = Pick<StoreModel, 'at' | 'revisionAt' | 'events' | 'entries'>
type KeyVerdict = Linearizability['keys'][number]
type Failure = NonNullable<KeyVerdict['failure']>
type Call = KeyCall<unknown>

/** The verdict changes only with the history. */
export class LiveVerdict {
  #known: { readonly of: string; readonly view: VerdictView } | undefined

  view(judged: JudgedRun, now: number): VerdictView {
    const { history, broken, judgesStale } = judged
    const of = `${history.length} ${broken?.id} ${judgesStale}`
    if (this.#known?.of !== of) this.#known = { of, view: verdictOf(judged, now) }
    return this.#known.view
  }
}

export interface JudgedRun {
  readonly history: readonly HistoryEvent[]
  /** The replayed log. */
  readonly log: Log
  /** A read whose answer broke a rule, and which ended the run. */
  readonly broken: BrokenRead | undefined
  /** Stale reads are judged as if they were linearizable. */
  readonly judgesStale: boolean
}

function verdictOf({ history, log, broken, judgesStale }: JudgedRun, now: number): VerdictView {
  const model = versionedRegister()
  const all = buildHistory(answered(history, now, log, broken))
  const staleReads = all.calls.flatMap((call) => staleRead(call, log) ?? [])
  const calls = judgesStale ? all.calls.map(promisingTheNewest) : all.calls
  const judged = calls.filter((call) => call.outcome.kind === 'ok' && !isStaleRead(call))
  const nothing = { judged: judged.length, effects: [], unordered: undefined, staleReads }
  if (calls.length > CALLS_MAX) return { ...nothing, verdict: 'undecided' }
  const judge = (left: readonly HistoryCall[]): Linearizability =>
    checkLinearizability({ ...all, calls: left }, model, CONFIGURATIONS_MAX)
  const { verdict, keys } = judge(calls)
  const failed = keys.find(({ failure }) => failure !== undefined)
  const unordered =
    failed?.failure === undefined
      ? broken && skippedEntry(calls, broken, log)
      : unorderedOf(failed.key, failed.failure, partition({ ...all, calls }, model).get(failed.key) ?? [])
  if (unordered === undefined)
    return {
      ...nothing,
      verdict: verdict === 'linearizable' ? verdict : 'undecided',
      effects: effectsOf(keys),
    }
  const { keys: others } = judge(calls.filter(({ id }) => id !== unordered.operation))
  return { ...nothing, verdict: 'violation', effects: effectsOf(others), unordered }
}

function versionedRegister() {
  const model = MODELS.get('versioned-register')
  if (model === undefined) throw new Error('the checker has no model of versioned registers')
  return model
}

/** With the answer that the node was about to give. */
function answered(
  history: readonly HistoryEvent[],
  now: number,
  log: Log,
  broken: BrokenRead | undefined,
): readonly HistoryEvent[] {
  if (broken === undefined) return history
  const { id, index } = broken
  const invoked = history.find((event) => event.type === 'invoke' && event.id === id)
  if (invoked?.type !== 'invoke' || invoked.op.f !== 'get') return history
  if (history.some((event) => 'id' in event && event.id === id && event.type !== 'invoke')) return history
  const row = log.at(invoked.op.key, index)
  const result: RecordedResult = {
    ...(row === null
      ? { value: null }
      : { value: row.value, modRevision: row.modRevision, version: row.version }),
    revision: log.revisionAt(index),
  }
  return [...history, { type: 'ok', id, time: now, result }]
}

/** The same call, as if it had demanded the newest state. */
function promisingTheNewest(call: HistoryCall): HistoryCall {
  if (!isStaleRead(call) || call.op.f !== 'get') return call
  const { consistency: _, ...op } = call.op
  if (call.outcome.kind !== 'ok') return { ...call, op }
  const { served: __, ...result } = call.outcome.result
  return { ...call, op, outcome: { kind: 'ok', result } }
}

// ---------------------------------------------------------------------------------------------------------------------
// An order that explains all answers

/**
 * The order of the operations allows each some time for its effect. The middle of that is shown.
 */
const effectsOf = (keys: readonly KeyVerdict[]): EffectView[] =>
  keys.flatMap(({ key, points }) => {
    let latest = Number.POSITIVE_INFINITY
    return points
      .toReversed()
      .map(({ call, timeMs }) => {
        latest = Math.min(latest, call.endMs ?? Number.POSITIVE_INFINITY)
        const at = Number.isFinite(latest) ? (timeMs + Math.max(timeMs, latest)) / 2 : timeMs
        return { operation: call.id ?? 0, key, at }
      })
      .reverse()
  })

// ---------------------------------------------------------------------------------------------------------------------
// A violation in words

function unorderedOf(key: string, failure: Failure, calls: readonly Call[]): UnorderedView {
  const [late, missed] = findInversion(calls) ?? []
  if (late === undefined || missed === undefined) {
    const { blocked, witness } = failure
    const operations = [...new Set([blocked, ...witness()].flatMap(({ id }) => id ?? []))]
    return {
      ...{ key, operation: blocked.id ?? 0, missed: undefined, operations },
      text: `${whose(blocked)} ${returned(blocked)}. No order of the operations explains that.`,
    }
  }
  const source = calls.find((call) => !isGet(call) && changedAt(call) === late.result?.modRevision)
  return {
    ...{ key, operation: late.id ?? 0, missed: missed.id },
    operations: [source, missed, late].flatMap((call) => call?.id ?? []),
    text: `${whose(late)} ${returned(late)}. ${missedText(missed, late)}`,
  }
}

/** The first operation whose answer is older than one that had ended before it began, and the newest such one. */
function findInversion(calls: readonly Call[]): readonly [late: Call, missed: Call] | undefined {
  const answered = calls.filter(({ result }) => result !== undefined).toSorted((a, b) => a.end - b.end)
  for (const late of answered) {
    const newer = answered.filter((call) => call.end < late.start && changedAt(call) > seenAt(late))
    const [missed] = newer.toSorted(
      (a, b) => changedAt(b) - changedAt(a) || Number(isGet(a)) - Number(isGet(b)),
    )
    if (missed !== undefined) return [late, missed]
  }
  return undefined
}

/** The revision of the key in the answer, or of its deletion. */
const changedAt = ({ op, result }: Call): number =>
  result?.modRevision ?? (op.f === 'del' && result?.deleted === 1 ? (result.revision ?? 0) : 0)

/** The newest state that the answer shows. A key that is not there may have been deleted at any time before. */
const seenAt = ({ op, result }: Call): number =>
  result?.modRevision ?? (op.f === 'get' ? result?.revision : undefined) ?? Number.POSITIVE_INFINITY

const isGet = ({ op }: Pick<Call, 'op'>): boolean => op.f === 'get'
const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`

const whose = ({ client, op, node }: Pick<Call, 'client' | 'op' | 'node'>): string =>
  `The ${op.f === 'get' ? 'read' : op.f} of ${op.key} by ${client} at ${node}`

function returned({ result }: Pick<Call, 'result'>): string {
  if (result?.value === null) return 'found no value'
  return result?.value === undefined ? 'was answered' : `returned ${JSON.stringify(result.value)}`
}

function missedText(missed: Call, blocked: Call): string {
  const what = isGet(missed)
    ? `what ${missed.client} had read, ${JSON.stringify(missed.result?.value ?? null)}`
    : `${formatOperation(missed.op)} by ${missed.client}`
  const [ended, began] = [missed.endMs ?? 0, blocked.startMs].map((ms) => `${(ms / 1000).toFixed(3)} s`)
  return `It missed ${what}: answered at ${ended}, before it began at ${began}.`
}

/** A read that broke a rule, although its answer has an order: no entry that it skipped has changed its key. */
function skippedEntry(
  calls: readonly HistoryCall[],
  { id, index, floor }: BrokenRead,
  log: Log,
): UnorderedView | undefined {
  const read = calls.find((call) => call.id === id)
  if (read === undefined || read.op.f !== 'get') return undefined
  const [after, upTo] = [log.revisionAt(index), log.revisionAt(floor)]
  const missed = calls.find(({ outcome }) => {
    const revision = outcome.kind === 'ok' ? (outcome.result.modRevision ?? 0) : 0
    return revision > after && revision <= upTo
  })
  const what = missed === undefined ? '' : `: ${formatOperation(missed.op)} by ${missed.client}`
  return {
    ...{ key: read.op.key, operation: id, missed: missed?.id },
    operations: missed === undefined ? [id] : [id, missed.id],
    text:
      `The read of ${read.op.key} by ${read.client} at ${read.node} was answered from entry ${index}. ` +
      `Entry ${floor} was already known when it began${what}. Its key is the same there, so only the rule is broken.`,
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Stale reads

/** It promises an old state, so it is compared with the log alone. */
function staleRead(call: HistoryCall, log: Log): StaleReadView | undefined {
  const { id, op, outcome, endMs = 0 } = call
  if (op.f !== 'get' || outcome.kind !== 'ok' || !isStaleRead(call)) return undefined
  const { revision = 0 } = outcome.result
  const place = log.events.findIndex((event) => event.key === op.key && event.revision > revision)
  const missed = log.events[place]
  const committedAt = missed === undefined ? Number.POSITIVE_INFINITY : commitTime(log, place)
  if (missed === undefined || committedAt > endMs)
    return { operation: id, ageMs: 0, text: 'nothing newer was committed' }
  const newer =
    missed.record === null ? `${op.key} was deleted` : `${op.key} = ${JSON.stringify(missed.record.value)}`
  const ageMs = endMs - committedAt
  return {
    ...{ operation: id, ageMs },
    text: `in fact ${seconds(ageMs)} old: ${newer} was committed at ${seconds(committedAt)}`,
  }
}

/** When the entry was committed that has the change at this place among all changes. */
function commitTime({ entries }: Pick<Log, 'entries'>, place: number): number {
  let left = place
  for (const { atMs, changes } of entries) {
    left -= changes.filter(({ what }) => what === 'put' || what === 'deleted').length
    if (left < 0) return atMs
  }
  return Number.POSITIVE_INFINITY
}
