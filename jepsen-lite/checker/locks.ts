// Locks and elections, judged only by fencing tokens in the order of the log. No lock can keep a stopped process from
// acting as its holder. The promises are:
//
// - one token each: no two holders have the same token.
// - fenced: no change under a lower token follows a change under a higher token of the same lock.
// - handed over: after a client has received the lock, no later request makes a change under a lower token.
// - while it stands: a token is the revision that created the key of a client. A change under it is made only while
//   this key exists and is the oldest under its prefix. No client receives the lock with another token, or too early.
// - refused: a change is not refused at a revision at which this key exists.
//
// The log itself shows that a refused change was not made, and that an acknowledged one was.

import type { History, StoreCall } from '../workload/history.ts'
import type { Anomaly } from './anomaly.ts'
import type { LogVerdict } from './log/index.ts'
import type { LoggedEvent } from './watch/index.ts'

type GuardedPutCall = StoreCall & { readonly op: { readonly f: 'guarded-put' } }

interface Holder {
  readonly call: StoreCall
  readonly token: number
}

export function checkLocks({ storeCalls }: History, { log, makers, doubtful }: LogVerdict): Anomaly[] {
  const findings: Anomaly[] = []
  const find = (key: string, calls: readonly number[], message: string): void => {
    findings.push({ check: 'locks', key, calls, message })
  }
  const holders = findHolders(storeCalls, find)
  const guarded = new Map(storeCalls.filter(isGuarded).map((call) => [call.id, call]))
  /** The change under the highest token so far, by lock. */
  const highest = new Map<string, { readonly call: GuardedPutCall; readonly revision: number }>()
  const lines = new WaitQueues()
  /** Holders that may still have had a predecessor when they received the lock. The earliest is last. */
  const recorded = [...holders].flatMap(([name, all]) => all.map((holder) => ({ name, ...holder })))
  recorded.sort((a, b) => b.call.end - a.call.end)
  /** The first is last. */
  const refused = storeCalls.flatMap(findRefusedPuts).sort((a, b) => b.revision - a.revision)
  /** The state is that of the revision before this one. */
  const judgeRefused = (before: number): void => {
    for (let one = refused.at(-1); one !== undefined && one.revision < before; one = refused.at(-1)) {
      refused.pop()
      const { call, revision } = one
      const { name, token } = call.op
      if (lines.stands(token))
        find(
          name,
          [call.id],
          `operation ${call.id} was refused under token ${token} of the lock ${name} at revision ${revision}, where the key of this token stands`,
        )
    }
  }
  for (const { revision, events } of log.revisions) {
    judgeRefused(revision)
    const maker = doubtful.has(revision) ? undefined : makers.get(revision)
    // A later request found the state in which they received the lock, or a later one.
    for (
      let one = recorded.at(-1);
      one !== undefined && one.call.end < (maker?.start ?? 0);
      one = recorded.at(-1)
    ) {
      recorded.pop()
      const before = lines.before(one.token)
      if (before !== undefined)
        find(
          one.name,
          [one.call.id],
          `operation ${one.call.id} held the lock ${one.name} with token ${one.token}, and up to revision ${revision} ${before}`,
        )
    }
    const call = guarded.get(maker?.ids[0] ?? -1)
    const why = call && lines.whyNot(call.op.token)
    for (const event of events) lines.apply(event)
    if (call === undefined) continue
    const { name, token } = call.op
    if (why !== undefined)
      find(
        name,
        [call.id],
        `operation ${call.id} changed ${call.op.key} under token ${token} of the lock ${name} at revision ${revision}, and ${why}`,
      )
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
  judgeRefused(log.events.upTo + 1)
  for (const [name, all] of holders)
    for (const { call, token } of all)
      if (token <= log.events.upTo && !lines.hasCreated(token))
        find(
          name,
          [call.id],
          `operation ${call.id} held the lock ${name} with token ${token}, and this revision had created no key`,
        )
  return findings
}

/** The keys of clients that hold a lock or wait for it, by the revisions that created them. */
class WaitQueues {
  /** All that were ever created. A transaction may create several at one revision. */
  readonly #created = new Map<number, string[]>()
  readonly #standing = new Map<string, number>()

  apply({ key, record, revision }: LoggedEvent): void {
    if (record === null) this.#standing.delete(key)
    else this.#standing.set(key, record.createRevision)
    if (record?.createRevision === revision)
      this.#created.set(revision, [...(this.#created.get(revision) ?? []), key])
  }

  hasCreated(revision: number): boolean {
    return this.#created.has(revision)
  }

  /** Whatever was created at this revision is there. */
  stands(token: number): boolean {
    return this.#created.get(token)?.every((key) => this.#standing.get(key) === token) === true
  }

  /** Why nothing may be changed under this token now; undefined: it may. */
  whyNot(token: number): string | undefined {
    const created = this.#created.get(token)
    if (created === undefined) return 'this revision had created no key'
    const key = created.find((one) => this.#standing.get(one) === token)
    if (key === undefined) return `the key that it had created, ${created[0]}, was gone`
    return this.before(token)
  }

  /** Whose turn it is while the key of this token waits; undefined: its own, or the key does not stand. */
  before(token: number): string | undefined {
    const key = this.#created.get(token)?.find((one) => this.#standing.get(one) === token)
    if (key === undefined) return undefined
    const line = key.slice(0, key.lastIndexOf('/') + 1)
    if (line === '') return undefined
    for (const [other, revision] of this.#standing)
      if (revision < token && other.startsWith(line))
        return `${other} of revision ${revision} stood before its key`
    return undefined
  }
}

const isGuarded = (call: StoreCall): call is GuardedPutCall => call.op.f === 'guarded-put'

/** Refusals that tell which revision they are about. */
function findRefusedPuts(call: StoreCall): { readonly call: GuardedPutCall; readonly revision: number }[] {
  const { outcome } = call
  if (!isGuarded(call) || outcome.kind !== 'ok' || outcome.result.applied !== false) return []
  const { revision } = outcome.result
  return revision === undefined ? [] : [{ call, revision }]
}

/** Finds locks that two clients held at the same time. */
function findHolders(
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
