// Requests with one Idempotency-Key are one request: applied at most once, and answered alike. Two answers that differ show it at once.
// What no answer shows, the other checks do, since they take all attempts as one operation: a second effect is one that nobody made.

import type { Call, History, Result } from '../history.ts'
import type { Finding } from './finding.ts'
import { textOf } from './partition.ts'

export interface Idempotency {
  readonly findings: readonly Finding[]
  /** Requests that were sent more than once. */
  readonly repeated: number
}

export function checkIdempotency({ header, calls }: History): Idempotency {
  if (header.forgetsTokens === true) return { findings: [], repeated: 0 }
  const requests = new Map<string, Call[]>()
  for (const call of calls) {
    const token = 'idempotency' in call.op ? call.op.idempotency : undefined
    if (token === undefined) continue
    const attempts = requests.get(token)
    if (attempts === undefined) requests.set(token, [call])
    else attempts.push(call)
  }
  const repeated = [...requests].filter(([, attempts]) => attempts.length > 1)
  return {
    findings: [...requests].flatMap(([token, attempts]) => [
      ...differing(token, attempts),
      ...unfounded(token, attempts),
    ]),
    repeated: repeated.length,
  }
}

type Answered = Pick<Call, 'id' | 'start' | 'end'> & { readonly op: Change; readonly result: Result }
type Change = Exclude<Call['op'], { readonly f: 'get' | 'range' }>

function differing(token: string, attempts: readonly Call[]): Finding[] {
  const [first, ...rest] = attempts.flatMap(({ id, op, outcome, start, end }): Answered[] =>
    outcome.kind === 'ok' && op.f !== 'get' && op.f !== 'range'
      ? [{ id, op, start, end, result: outcome.result }]
      : [],
  )
  if (first === undefined) return []
  return rest.flatMap((other) => {
    const what = whatDiffers(first, other)
    if (what === undefined) return []
    const message = `operations ${first.id} and ${other.id} came under one token (${token}) and ${what}`
    return [{ check: 'idempotency', key: first.op.key, message, calls: [first.id, other.id] }]
  })
}

/** Answered as repeats, when nobody can have applied the request before: no attempt that did not fail had begun. */
function unfounded(token: string, attempts: readonly Call[]): Finding[] {
  return attempts.flatMap(({ id, op, outcome, end }) => {
    if (outcome.kind !== 'ok' || outcome.result.replayed !== true || op.f === 'get' || op.f === 'range')
      return []
    const first = attempts.find(
      (other) => other.id !== id && other.outcome.kind !== 'fail' && other.start < end,
    )
    if (first !== undefined) return []
    const message = `operation ${id} is answered as a repeat under its token (${token}), and nobody had sent it before`
    return [{ check: 'idempotency', key: op.key, message, calls: [id] }]
  })
}

/** A repeat must tell again what the first answer told; whatever one of the two was not told says nothing. */
function whatDiffers(a: Answered, b: Answered): string | undefined {
  if (textOf(a.op) !== textOf(b.op))
    return `asked for different things (${JSON.stringify(a.op)} and ${JSON.stringify(b.op)}), and both were answered`
  const [one, other] = [effectOf(a.result), effectOf(b.result)]
  const field = one.findIndex(
    (value, at) => value !== undefined && other[at] !== undefined && value !== other[at],
  )
  if (field < 0) return answeredAsNew(a, b)
  const name = EFFECTS[field] ?? ''
  return `were answered differently: ${name} ${JSON.stringify(one[field])} and ${JSON.stringify(other[field])}`
}

function answeredAsNew(a: Answered, b: Answered): string | undefined {
  const late = a.end < b.start ? b : b.end < a.start ? a : undefined
  return late?.result.replayed === false
    ? `were both answered as new, although operation ${late.id} began after the other had been answered`
    : undefined
}

const EFFECTS = ['applied', 'deleted', 'modRevision', 'revision', 'version', 'current', 'value'] as const

/** A change that was made left its key at the revision that it made: to be told one of them is to be told both. */
function effectOf({ applied = true, modRevision, revision, ...told }: Result): readonly unknown[] {
  const made = modRevision ?? revision
  const revisions = applied ? { modRevision: made, revision: revision ?? made } : { modRevision, revision }
  const effect = { ...told, applied, ...revisions }
  return EFFECTS.map((name) => effect[name])
}
