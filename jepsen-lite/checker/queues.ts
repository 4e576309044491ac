// Work queues, judged by the answers to their clients. At the end one client empties the queue, when nobody else uses
// it.
//
// - kept: an item whose push was answered, or that was delivered, was acknowledged in the end.
// - once done: an acknowledged item is not delivered again, and is acknowledged once.
// - true: a delivered item was pushed as it is, by a push that has not certainly failed.
// - pushed once: each push makes one item, even one of unknown outcome that the client library has repeated.
// - fenced: each delivery has a higher token than those that had ended before, and counts the attempts. No
//   acknowledgement with a lower token succeeds. No item is given back with a token that is over.
// - order: the client that empties the queue gets items by priority. Items of one priority come in the order of pushes
//   that followed each other. An item that a pop of unknown outcome has taken may come late.
// - empty: nothing of the queue is left at the end.

import type { History, StoreCall } from '../workload/history.ts'
import type { Anomaly } from './anomaly.ts'

/** The client that empties queues at the end has this name. */
export const DRAIN = 'drain'
/** Under it are the keys of queues. */
const KEYS = 'queue/'

type Of<F extends StoreCall['op']['f']> = StoreCall & { readonly op: { readonly f: F } }

interface Delivery {
  readonly call: StoreCall
  readonly token: number
  readonly attempts: number | undefined
}

interface Item {
  readonly id: string
  push: Of<'push'> | undefined
  readonly deliveries: Delivery[]
  readonly acks: Of<'ack'>[]
  readonly nacks: Of<'nack'>[]
}

export function checkQueues(history: History): Anomaly[] {
  const { storeCalls, finals } = history
  if (!storeCalls.some(({ op }) => op.f === 'push' || op.f === 'pop')) return []
  const findings: Anomaly[] = []
  const find = (item: string | undefined, calls: readonly number[], message: string): void => {
    findings.push({ check: 'queues', key: item, calls, message })
  }
  const pushes = new Map<string, Of<'push'>>()
  for (const call of storeCalls) if (is(call, 'push')) pushes.set(call.op.value, call)
  judgePushes(storeCalls, find)
  const items = collectItems(storeCalls)
  for (const item of items.values()) {
    judgeDeliveries(item, pushes, find)
    judgeAcknowledgements(item, find)
    judgeGivenBack(item, find)
  }
  if (storeCalls.some(({ client }) => client === DRAIN)) judgeLosses(items, find)
  judgeOrder(storeCalls, items, find)
  for (const { node, rows } of finals) {
    const left = rows.filter(({ key }) => key.startsWith(KEYS))
    const [first] = left
    if (first !== undefined)
      find(
        undefined,
        [],
        `the queue is empty, and ${node} holds ${left.length} keys of it, the first of them ${first.key}`,
      )
  }
  return findings
}

type Find = (item: string | undefined, calls: readonly number[], message: string) => void

const is = <F extends StoreCall['op']['f']>(call: StoreCall, f: F): call is Of<F> => call.op.f === f

const isMade = ({ outcome }: StoreCall): boolean => outcome.kind === 'ok' && outcome.result.applied !== false

function collectItems(calls: readonly StoreCall[]): Map<string, Item> {
  const items = new Map<string, Item>()
  const findItem = (id: string): Item => {
    const known = items.get(id) ?? { id, push: undefined, deliveries: [], acks: [], nacks: [] }
    items.set(id, known)
    return known
  }
  for (const call of calls) {
    const result = call.outcome.kind === 'ok' ? call.outcome.result : undefined
    if (is(call, 'push') && result?.item !== undefined) findItem(result.item).push = call
    if (is(call, 'pop') && result?.item !== undefined && result.token !== undefined)
      findItem(result.item).deliveries.push({ call, token: result.token, attempts: result.attempts })
    if (is(call, 'ack')) findItem(call.op.item).acks.push(call)
    if (is(call, 'nack')) findItem(call.op.item).nacks.push(call)
  }
  return items
}

/** Each push makes one item, and each item is of one push. Values are unique. */
function judgePushes(calls: readonly StoreCall[], find: Find): void {
  const itemOf = new Map<string, { readonly id: string; readonly call: StoreCall }>()
  const pushOf = new Map<string, StoreCall>()
  for (const call of calls) {
    const { item: id, value } = call.outcome.kind === 'ok' ? call.outcome.result : {}
    const text = is(call, 'push') ? call.op.value : is(call, 'pop') ? value : undefined
    if (id === undefined || typeof text !== 'string') continue
    const other = itemOf.get(text)
    if (other === undefined) itemOf.set(text, { id, call })
    else if (other.id !== id)
      find(
        id,
        [other.call.id, call.id],
        `${text} was pushed once, and is the item ${other.id} for operation ${other.call.id} and ${id} for operation ${call.id}`,
      )
    if (!is(call, 'push')) continue
    const first = pushOf.get(id)
    if (first !== undefined)
      find(id, [first.id, call.id], `operations ${first.id} and ${call.id} both made the item ${id}`)
    else pushOf.set(id, call)
  }
}

function judgeDeliveries(
  { id, push, deliveries }: Item,
  pushes: ReadonlyMap<string, Of<'push'>>,
  find: Find,
): void {
  for (const { call, token, attempts } of deliveries) {
    const { value = '', priority } = call.outcome.kind === 'ok' ? call.outcome.result : {}
    const pushed = pushes.get(value ?? '')
    if (pushed === undefined)
      find(id, [call.id], `operation ${call.id} was given ${id} = ${value}, which nobody has pushed`)
    else if (pushed.outcome.kind === 'fail' || pushed.start > call.end)
      find(
        id,
        [pushed.id, call.id],
        `operation ${call.id} was given ${id}, of which the push (operation ${pushed.id}) ${pushed.outcome.kind === 'fail' ? 'has certainly failed' : 'had not begun'}`,
      )
    else if (push !== undefined && push.id !== pushed.id)
      find(
        id,
        [push.id, call.id],
        `operation ${call.id} was given ${id} = ${value}, which was pushed as ${push.op.value}`,
      )
    else if (priority !== undefined && priority !== pushed.op.priority)
      find(
        id,
        [pushed.id, call.id],
        `operation ${call.id} was given ${id} with priority ${priority}, which was pushed with ${pushed.op.priority}`,
      )
    const before = deliveries.find((other) => other.call.end < call.start && other.token > token)
    if (before !== undefined)
      find(
        id,
        [before.call.id, call.id],
        `operation ${call.id} was given ${id} with token ${token}, and operation ${before.call.id} before it with ${before.token}`,
      )
    const same = deliveries.find((other) => other.call !== call && other.token === token)
    if (same !== undefined && same.call.id < call.id)
      find(
        id,
        [same.call.id, call.id],
        `operations ${same.call.id} and ${call.id} were both given ${id} with token ${token}`,
      )
    const uncounted = deliveries.find(
      (other) => other.token < token && (other.attempts ?? 0) >= (attempts ?? Number.POSITIVE_INFINITY),
    )
    if (uncounted !== undefined)
      find(
        id,
        [uncounted.call.id, call.id],
        `${id} was given with token ${uncounted.token} as attempt ${uncounted.attempts}, and with ${token} as attempt ${attempts}`,
      )
  }
}

function judgeAcknowledgements({ id, deliveries, acks, nacks }: Item, find: Find): void {
  const [done, again] = acks.filter(isMade)
  if (done === undefined) return
  if (again !== undefined)
    find(id, [done.id, again.id], `${id} was acknowledged by operations ${done.id} and ${again.id}`)
  const { token } = done.op
  const later = deliveries.find((one) => one.token > token)
  if (later !== undefined)
    find(
      id,
      [done.id, later.call.id],
      `${id} was acknowledged with token ${token}, and given to operation ${later.call.id} with ${later.token}`,
    )
  const givenBack = nacks.find((nack) => isMade(nack) && nack.op.token === token)
  if (givenBack !== undefined)
    find(id, [givenBack.id, done.id], `${id} was given back and acknowledged with token ${token}`)
}

function judgeGivenBack({ id, deliveries, acks, nacks }: Item, find: Find): void {
  const made = nacks.filter(isMade)
  for (const [at, nack] of made.entries()) {
    const { token } = nack.op
    const again = made.slice(0, at).find((other) => other.op.token === token)
    if (again !== undefined) find(id, [again.id, nack.id], `${id} was given back twice with token ${token}`)
    const later = deliveries.find((one) => one.token > token && one.call.end < nack.start)
    if (later !== undefined)
      find(
        id,
        [later.call.id, nack.id],
        `${id} was given back with token ${token}, when operation ${later.call.id} had it with ${later.token}`,
      )
    const done = acks.find((ack) => isMade(ack) && ack.op.token !== token && ack.end < nack.start)
    if (done !== undefined)
      find(
        id,
        [done.id, nack.id],
        `${id} was given back with token ${token}, and operation ${done.id} had acknowledged it`,
      )
  }
}

function judgeLosses(items: ReadonlyMap<string, Item>, find: Find): void {
  for (const { id, push, deliveries, acks } of items.values()) {
    const [first] = deliveries
    const call = push ?? first?.call
    // One whose item was given to another one later was not made.
    const latest = Math.max(...deliveries.map(({ token }) => token))
    const mayBeMade = (ack: Of<'ack'>) => ack.outcome.kind === 'unknown' && ack.op.token >= latest
    if (call === undefined || acks.some((ack) => isMade(ack) || mayBeMade(ack))) continue
    find(
      id,
      [call.id],
      `${id} was ${push === undefined ? 'given to' : 'pushed by'} operation ${call.id}, and nobody has acknowledged it; the queue is empty`,
    )
  }
}

/** The one client that empties the queue takes what comes next. */
function judgeOrder(calls: readonly StoreCall[], items: ReadonlyMap<string, Item>, find: Find): void {
  let last: Of<'push'> | undefined
  /** Number of pops of unknown outcome, each of which may have taken one item. */
  let taken = 0
  for (const call of calls) {
    if (call.client !== DRAIN || !is(call, 'pop')) continue
    if (call.outcome.kind === 'unknown') taken += 1
    if (call.outcome.kind !== 'ok') continue
    const { item, priority, attempts = 0 } = call.outcome.result
    const { push, deliveries = [] } = items.get(item ?? '') ?? {}
    // Nobody knows when those were pushed whose push was not answered.
    if (push === undefined || priority === undefined) continue
    const isLower = last !== undefined && last.op.priority < priority
    const isLate = last !== undefined && last.op.priority === priority && push.end < last.start
    if ((isLower || isLate) && taken > 0) {
      const otherAttempts = deliveries.filter((one) => one.call !== call).map((one) => one.attempts ?? 0)
      if (attempts > 1 + Math.max(0, ...otherAttempts.filter((each) => each < attempts))) {
        taken -= 1
        continue
      }
    }
    if (last !== undefined && isLower)
      find(
        item,
        [call.id],
        `operation ${call.id} was given ${item} with priority ${priority} after one with ${last.op.priority}`,
      )
    else if (last !== undefined && isLate)
      find(
        item,
        [push.id, last.id, call.id],
        `operation ${call.id} was given ${item} after an item that was pushed later (operations ${push.id} and ${last.id})`,
      )
    last = push
  }
}
