// Locks and elections, judged by fencing tokens in the order of the log, and by nothing else: no lock can keep a
// stopped process from believing that it holds it. What it can promise is this:
//
//   one token each   no two holders have the same
//   fenced           in the log, no change under a lower token comes after one under a higher token of the same lock
//   handed over      once a client was told that it holds the lock, no change under a lower token is made that was asked
//                    for later
//
// That a refused change was not made, and an acknowledged one was, is judged with the log itself.

import type { History, StoreCall } from '../history.ts'
import type { Anomaly } from './anomaly.ts'
import type { LogVerdict } from './log/index.ts'

type Guarded = StoreCall & { readonly op: { readonly f: 'guarded-put' } }

interface Holder {
  readonly call: StoreCall
  readonly token: number
}

export function checkLocks({ storeCalls }: History, { log, makers }: LogVerdict): Anomaly[] {
  const findings: Anomaly[] = []
  const find = (key: string, calls: readonly number[], message: string): void => {
    findings.push({ check: 'locks', key, calls, message })
  }
  const holders = holdersIn(storeCalls, find)
  const guarded = new Map(storeCalls.filter(isGuarded).map((call) => [call.id, call]))
  /** Of each lock: the change under the highest token so far. */
  const highest = new Map<string, { readonly call: Guarded; readonly revision: number }>()
  for (const { revision } of log.revisions) {
    const call = guarded.get(makers.get(revision)?.ids[0] ?? -1)
    if (call === undefined) continue
    const { name, token } = call.op
    const before = highest.get(name)
    if (before !== undefined && before.call.op.token > token)
      find(
        name,
        [before.call.id, call.id],
        `the lock ${name} was not kept: operation ${call.id} changed ${call.op.key} under token ${token} at revision ${revision}, after operation ${before.call.id} had under token ${before.call.op.token} at ${before.revision}`,
      )
    else highest.set(name, { call, revision })
    const next = holders.get(name)?.find((holder) => holder.token > token && holder.call.end < call.start)
    if (next !== undefined)
      find(
        name,
        [next.call.id, call.id],
        `operation ${next.call.id} held the lock ${name} with token ${next.token}, and then operation ${call.id} changed ${call.op.key} under token ${token}`,
      )
  }
  return findings
}

const isGuarded = (call: StoreCall): call is Guarded => call.op.f === 'guarded-put'

/** By lock. */
function holdersIn(
  calls: readonly StoreCall[],
  find: (key: string, calls: readonly number[], message: string) => void,
): Map<string, Holder[]> {
  const holders = new Map<string, Holder[]>()
  for (const call of calls) {
    const { op, outcome } = call
    const token = outcome.kind === 'ok' && op.f === 'lock' ? outcome.result.token : undefined
    if (op.f !== 'lock' || token === undefined) continue
    const all = holders.get(op.name) ?? []
    holders.set(op.name, all)
    const same = all.find((holder) => holder.token === token)
    if (same !== undefined)
      find(
        op.name,
        [same.call.id, call.id],
        `operations ${same.call.id} and ${call.id} both hold the lock ${op.name} with token ${token}`,
      )
    all.push({ call, token })
  }
  return holders
}
