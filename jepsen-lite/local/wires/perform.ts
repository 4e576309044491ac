// Performs one operation on keys, by the requests of a wire, and returns one of the three ends.

import type { HistoryOperation } from '../../workload/history.ts'
import { optional, type RequestEnd } from './wire.ts'

type Operation<F extends HistoryOperation['f']> = Extract<HistoryOperation, { readonly f: F }>

/** The requests of an operation, to its node, until its deadline. */
export interface KeyRequests {
  get(op: Operation<'get'>): Promise<RequestEnd>
  range(op: Operation<'range'>): Promise<RequestEnd>
  put(op: Operation<'put'>): Promise<RequestEnd>
  del(op: Operation<'del'>): Promise<RequestEnd>
}

export async function perform(
  requests: KeyRequests,
  op: HistoryOperation,
  deadline: number,
): Promise<RequestEnd> {
  switch (op.f) {
    case 'get':
      return requests.get(op)
    case 'range':
      return requests.range(op)
    case 'put':
      return requests.put(op)
    case 'del':
      return requests.del(op)
    case 'acquire': {
      const { key, owner, ...once } = op
      return requests.put({ ...once, f: 'put', key, value: owner, ifAbsent: true })
    }
    case 'release': {
      const { key, token, owner: _, ...once } = op
      return requests.del({ ...once, f: 'del', key, ifRevision: token })
    }
    case 'cas':
      return compareAndSet(requests, op)
    case 'append':
      return append(requests, op, deadline)
  }
}

/**
 * A read, then a put under the condition that the key has not changed since. If that condition fails, the operation
 * fails: its result is not known.
 */
async function compareAndSet(requests: KeyRequests, op: Operation<'cas'>): Promise<RequestEnd> {
  const read = await requests.get({ f: 'get', key: op.key })
  if (read.kind !== 'ok') return read
  const { value = null, modRevision, revision } = read.result
  if (value !== op.from) {
    const found = { value, current: modRevision ?? null, ...optional('revision', revision) }
    return { kind: 'ok', result: { ...found, applied: false } }
  }
  const put = await putUnchanged(requests, op, op.to, modRevision)
  return put ?? { kind: 'fail', why: 'the key changed between its read and its put', unreachable: false }
}

/** Appends by a read and a conditional put, repeated until the put succeeds. A condition that fails writes nothing. */
async function append(requests: KeyRequests, op: Operation<'append'>, deadline: number): Promise<RequestEnd> {
  while (performance.now() < deadline) {
    const read = await requests.get({ f: 'get', key: op.key })
    if (read.kind !== 'ok') return read
    const value = (read.result.value ?? '') + op.value
    const put = await putUnchanged(requests, op, value, read.result.modRevision)
    if (put?.kind === 'ok') return { kind: 'ok', result: { ...put.result, value } }
    if (put !== undefined) return put
  }
  return { kind: 'fail', why: 'the key changed before each put until the time ran out', unreachable: false }
}

/** Puts under the condition that the key has not changed since it was read. Returns undefined if it has. */
async function putUnchanged(
  requests: KeyRequests,
  { key, idempotency }: Operation<'cas' | 'append'>,
  value: string,
  modRevision: number | undefined,
): Promise<RequestEnd | undefined> {
  const end = await requests.put({
    ...{ f: 'put', key, value },
    ...(modRevision === undefined ? { ifAbsent: true } : { ifRevision: modRevision }),
    ...(idempotency !== undefined && { idempotency }),
  })
  if (end.kind !== 'ok' || end.result.applied !== false) return end
  if (end.result.current !== (modRevision ?? null)) return undefined
  // This answer is not in the history, so no other check sees it.
  return {
    ...{ kind: 'fail', why: 'wrong answer', unreachable: false },
    wrong: 'a refusal although the condition holds, as the answer itself shows',
  }
}
