// Requests with one Idempotency-Key are one request: applied at most once, and answered alike. Two answers that differ show it at once.
// What no answer shows, the other checks do, since they take all attempts as one operation: a second effect is one that nobody made.

import type { Call, History, Result } from '../history.ts'
import type { Finding } from './finding.ts'

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
    findings: repeated.flatMap(([token, attempts]) => differing(token, attempts)),
    repeated: repeated.length,
  }
}

function differing(token: string, attempts: readonly Call[]): Finding[] {
  const [first, ...rest] = attempts.flatMap(({ id, op, outcome }) =>
    outcome.kind === 'ok' && op.f !== 'get' && op.f !== 'range' ? [{ id, op, result: outcome.result }] : [],
  )
  if (first === undefined) return []
  return rest
    .filter(({ result }) => effectOf(result) !== effectOf(first.result))
    .map(({ id, result }) => ({
      check: 'idempotency',
      key: first.op.key,
      message:
        `operations ${first.id} and ${id} are one request (${token}) and were answered differently: ` +
        `${effectOf(first.result)} and ${effectOf(result)}`,
      calls: [first.id, id],
    }))
}

/** What a repeat must tell again. */
function effectOf({ applied, deleted, modRevision, revision }: Result): string {
  return JSON.stringify({ applied: applied ?? true, deleted, revision: modRevision ?? revision })
}
