// Requests with the same Idempotency-Key are one request: applied at most once, and always answered alike. Two
// different answers show an error at once. The other checks find what no answer shows, since they treat all attempts as
// one operation: a second effect is one that no client requested.

import type { History, HistoryCall, RecordedResult } from '../workload/history.ts'
import type { Anomaly } from './anomaly.ts'
import { operationText } from './partition.ts'

interface IdempotencyResult {
  readonly findings: readonly Anomaly[]
  /** Number of requests that were sent more than once. */
  readonly repeated: number
}

export function checkIdempotency({ header, calls }: History): IdempotencyResult {
  const strange = calls.flatMap(repeatOfNothing)
  if (header.forgetsTokens === true) return { findings: strange, repeated: 0 }
  const byToken = Map.groupBy(calls, ({ op }) => ('idempotency' in op ? op.idempotency : undefined))
  const requests = [...byToken].flatMap(([token, attempts]) =>
    token === undefined ? [] : [{ token, attempts }],
  )
  const wrong = requests.flatMap(({ token, attempts }) => [
    ...differing(token, attempts),
    ...notOneFirst(token, attempts),
  ])
  return {
    findings: [...strange, ...wrong],
    repeated: requests.filter(({ attempts }) => attempts.length > 1).length,
  }
}

/** The store remembers no outcome for a request without a token. So such an answer belongs to another request. */
function repeatOfNothing({ id, op, outcome }: HistoryCall): Anomaly[] {
  if (outcome.kind !== 'ok' || outcome.result.replayed !== true) return []
  if ('idempotency' in op && op.idempotency !== undefined) return []
  const key = op.f === 'range' ? undefined : op.key
  return [
    {
      check: 'idempotency',
      key,
      message: `operation ${id} has no token and is answered as a repeat`,
      calls: [id],
    },
  ]
}

type AnsweredCall = Pick<HistoryCall, 'id' | 'start' | 'end'> & {
  readonly op: Change
  readonly result: RecordedResult
}
type Change = Exclude<HistoryCall['op'], { readonly f: 'get' | 'range' }>

function differing(token: string, attempts: readonly HistoryCall[]): Anomaly[] {
  const [first, ...rest] = answeredAmong(attempts)
  if (first === undefined) return []
  return rest.flatMap((other) => {
    const what = whatDiffers(first, other)
    if (what === undefined) return []
    const message = `operations ${first.id} and ${other.id} came under one token (${token}) and ${what}`
    return [{ check: 'idempotency', key: first.op.key, message, calls: [first.id, other.id] }]
  })
}

const answeredAmong = (attempts: readonly HistoryCall[]): AnsweredCall[] =>
  attempts.flatMap(({ id, op, outcome, start, end }) =>
    outcome.kind === 'ok' && op.f !== 'get' && op.f !== 'range'
      ? [{ id, op, start, end, result: outcome.result }]
      : [],
  )

/**
 * Exactly one attempt is the one that was applied, and only it is answered as new. All others are repeats of it,
 * answered after it had been sent.
 */
function notOneFirst(token: string, attempts: readonly HistoryCall[]): Anomaly[] {
  const answered = answeredAmong(attempts)
  const effectFinding = (what: string, ...ids: readonly number[]): Anomaly[] => {
    const message = `${ids.length > 1 ? `operations ${ids.join(' and ')} are` : `operation ${ids[0]} is`} ${what} under one token (${token})`
    return [{ check: 'idempotency', key: answered[0]?.op.key, message, calls: ids }]
  }
  const [first, second] = answered.filter(({ result }) => result.replayed === false)
  if (first !== undefined && second !== undefined)
    return effectFinding('both answered as new', first.id, second.id)
  const before = first && answered.find(({ end }) => end < first.start)
  if (first !== undefined && before !== undefined)
    return effectFinding(`answered as new after operation ${before.id} had been answered`, first.id)
  const repeats = answered.filter(({ result }) => result.replayed === true).sort((a, b) => a.end - b.end)
  const [earliest] = repeats
  if (earliest === undefined) return []
  // A failed attempt was not applied, and one that is answered as a repeat was not the first.
  const isRepeat = ({ id }: HistoryCall): boolean => repeats.some((repeat) => repeat.id === id)
  const firsts =
    first === undefined ? attempts.filter((one) => one.outcome.kind !== 'fail' && !isRepeat(one)) : [first]
  if (firsts.some(({ start }) => start < earliest.end)) return []
  return effectFinding('answered as a repeat, but no client had sent it before', earliest.id)
}

/** A repeat must tell the same as the first answer. A field that one of the two does not tell is not compared. */
function whatDiffers(a: AnsweredCall, b: AnsweredCall): string | undefined {
  if (operationText(a.op) !== operationText(b.op))
    return `requested different things (${JSON.stringify(a.op)} and ${JSON.stringify(b.op)}), and both were answered`
  const [one, other] = [recordedEffect(a.result), recordedEffect(b.result)]
  const field = one.findIndex(
    (value, at) => value !== undefined && other[at] !== undefined && value !== other[at],
  )
  if (field < 0) return undefined
  const name = EFFECTS[field] ?? ''
  return `were answered differently: ${name} ${JSON.stringify(one[field])} and ${JSON.stringify(other[field])}`
}

const EFFECTS = ['applied', 'deleted', 'modRevision', 'revision', 'version', 'current', 'value'] as const

/** A change leaves its key at the revision that it made, so each of the two revisions gives the other. */
function recordedEffect({
  applied = true,
  modRevision,
  revision,
  ...result
}: RecordedResult): readonly unknown[] {
  const made = modRevision ?? revision
  const revisions = applied ? { modRevision: made, revision: revision ?? made } : { modRevision, revision }
  const effect = { ...result, applied, ...revisions }
  return EFFECTS.map((name) => effect[name])
}
