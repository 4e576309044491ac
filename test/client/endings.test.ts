// Calls that end while a part of them is still in flight, and answers that are not in the agreed form.

import { expect, test } from 'vitest'
import { problem } from './relayed-node.ts'
import { answering, clientOf, failure, fake, until } from './with-fakes.ts'

test('a snapshot list that is ended by its callback leaves no connection behind', async () => {
  const node = await fake()
  for (let n = 0; n < 400; n++) node.set(`k${n}`, Buffer.alloc(1_000))
  for (let round = 0; round < 2; round++) {
    const abort = new AbortController()
    const kv = clientOf([node])
    const records = kv.list({ snapshot: true, signal: abort.signal, onAnswer: () => abort.abort() })
    expect(await failure(records.next())).toMatchObject({ name: 'AbortError', code: 'aborted' })
    await until(() => node.connections === 0)
  }
})

test('a node with a Retry-After does not keep the call from asking the others again', async () => {
  const [busy, electing] = [await fake(), await fake('n2')]
  const kv = clientOf([busy, electing])
  busy.fault = () => problem(429, 'overloaded', 'too many', { retry_after_ms: 3_600_000 })
  for (let round = 1; round <= 2; round++) {
    const noLeader = problem(503, 'no_leader', 'an election is under way', { retry_after_ms: 1 })
    electing.faults.push(noLeader, noLeader)
    expect(await kv.put('a', `${round}`)).toMatchObject({ version: round })
  }
})

test('a list that is aborted at any moment after its answer ends at once', async () => {
  const begun = 'HTTP/1.1 200 OK\r\nKv-Cluster: 77\r\nKv-Revision: 1\r\nTransfer-Encoding: chunked\r\n\r\n'
  const { url, connections } = await answering(begun, { staysOpen: true })
  const kv = clientOf([url], { timeoutMs: Number.POSITIVE_INFINITY })
  for (let turns = 0; turns < 30; turns++) {
    const abort = new AbortController()
    const abortAfter = (left: number): void =>
      left === 0 ? abort.abort() : queueMicrotask(() => abortAfter(left - 1))
    const records = kv.list({ snapshot: true, signal: abort.signal, onAnswer: () => abortAfter(turns) })
    expect(await failure(records.next())).toMatchObject({ name: 'AbortError', code: 'aborted' })
    await until(() => connections() === 0)
  }
})

test('the written value is the one that was passed, even if its buffer changes meanwhile', async () => {
  const node = await fake()
  const kv = clientOf([node])
  for (let round = 0; round < 2; round++) {
    node.faults.push('cut', problem(503, 'no_leader', 'an election is under way', { retry_after_ms: 1 }))
    for (const buffer of [Buffer.from('one'), new TextEncoder().encode('one')]) {
      const put = kv.put('a', buffer)
      buffer.fill(0)
      await put
      expect(node.contents).toEqual({ a: 'one' })
    }
  }
})
