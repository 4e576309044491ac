// What a client must know before it sends a write: its cluster, and since when the token of the write is in use. And
// what it does when that is too long ago.

import { describe, expect, test, vi } from 'vitest'
import { inspect } from '../../src/client/client.ts'
import { UnavailableError, UnreachableError } from '../../src/client/index.ts'
import { problem } from './fake-node.ts'
import { clientOf, failure, fake, freezeTime, noQuorumForLong, refusing } from './with-fakes.ts'

describe('before its first write', () => {
  test('a client asks for the cluster and its revision, once', async () => {
    const node = await fake()
    node.revision = 41
    const kv = clientOf([node])
    await kv.put('a', '1')
    await kv.delete('a')
    const headers = node.seen.map((seen) => [seen.headers['kv-cluster'], seen.headers['idempotency-key']])
    expect(headers).toEqual([
      ['77', expect.stringMatching(/;since=41$/)],
      ['77', expect.stringMatching(/;since=42$/)],
    ])
    expect(node.questions.map((seen) => seen.headers['idempotency-key'])).toEqual([undefined])
  })

  test('any answer has them, also one of a node that has no data yet', async () => {
    const node = await fake()
    node.revision = 0
    const kv = clientOf([node])
    await kv.get('a')
    await kv.put('a', '1')
    expect(node.questions).toEqual([])
    expect(node.seen[1]?.headers['idempotency-key']).toMatch(/;since=1$/)
  })

  test('so does a refusal', async () => {
    const node = await fake()
    node.questionFault = () => noQuorumForLong
    const kv = clientOf([node])
    await kv.put('a', '1')
    expect(node.contents).toEqual({ a: '1' })
    expect(node.questions.length).toBe(1)
  })

  test('writes that begin together share the question', async () => {
    freezeTime()
    const nodes = [await fake('n1'), await fake('n2'), await fake('n3')]
    const kv = clientOf(nodes)
    await Promise.all(Array.from({ length: 64 }, (_, n) => kv.put(`k${n}`, 'v')))
    for (const node of nodes) expect(node.questions.length).toBeLessThanOrEqual(1)
    const writes = nodes.flatMap((node) => node.seen)
    expect(writes.length).toBe(64)
    for (const { headers } of writes) {
      expect(headers['kv-cluster']).toBe('77')
      expect(headers['idempotency-key']).toContain(';since=')
    }
  })

  test('changes of the cluster name it as well', async () => {
    const node = await fake()
    const kv = clientOf([node])
    await kv.transferLeader('n2')
    expect(node.seen.map((seen) => seen.headers['kv-cluster'])).toEqual(['77'])
  })

  test('a retry whose first try was applied and forgotten is not applied again', async () => {
    const node = await fake()
    const kv = clientOf([node])
    for (const round of [1, 2]) {
      node.faults.push('cut-after')
      node.fault = () => {
        node.forgetOutcomes()
        return undefined
      }
      const error = await failure(kv.put('a', `${round}`))
      expect(error).toMatchObject({ code: 'outcome_unknown', written: 'unknown' })
      expect(node.rows.get('a')?.version).toBe(round)
    }
  })
})

describe('when that question fails, nothing was written', () => {
  const timeoutMs = 400

  test('no answer: a time-out; and the next write asks again', async () => {
    const node = await fake()
    node.questionFault = () => 'hang'
    const kv = clientOf([node], { timeoutMs })
    const [error, other] = await Promise.all([failure(kv.put('a', '1')), failure(kv.put('b', '2'))])
    for (const each of [error, other]) {
      expect(each).toBeInstanceOf(UnavailableError)
      expect(each).toMatchObject({ code: 'timeout', written: 'no' })
    }
    expect(node.questions.length).toBe(1)
    await expect.poll(() => node.connections).toBe(0)
    node.questionFault = () => undefined
    await kv.put('a', '1')
    expect(node.contents).toEqual({ a: '1' })
    expect(node.questions.length).toBe(2)
  })

  test('no node listens: unreachable, after unreachableAfterMs', async () => {
    const kv = clientOf([await refusing()], { timeoutMs: 3_600_000, unreachableAfterMs: 50 })
    const error = await failure(kv.put('a', '1'))
    expect(error).toBeInstanceOf(UnreachableError)
    expect(error).toMatchObject({ code: 'unreachable', written: 'no' })
  })

  test('a node that is down or silent is replaced by another', async () => {
    const [silent, node] = [await fake(), await fake('n2')]
    silent.questionFault = () => 'hang'
    silent.fault = () => 'hang'
    const kv = clientOf([await refusing(), silent, node], { timeoutMs: 3_600_000 })
    await Promise.all([kv.put('a', '1'), kv.put('b', '2'), kv.put('c', '3')])
    expect(node.contents).toEqual({ a: '1', b: '2', c: '3' })
  })

  test('one caller gives up: the others get their answer all the same', async () => {
    const node = await fake()
    const abort = new AbortController()
    node.questionFault = () => {
      abort.abort(new Error('enough'))
      return { afterMs: 50 }
    }
    const kv = clientOf([node])
    const [aborted, written] = await Promise.all([
      failure(kv.put('a', '1', { signal: abort.signal })),
      kv.put('b', '2'),
    ])
    expect(aborted).toMatchObject({ name: 'AbortError', written: 'no', cause: new Error('enough') })
    expect(written).toMatchObject({ version: 1 })
    expect(node.contents).toEqual({ b: '2' })
    expect(node.questions.length).toBe(1)
  })

  test('a connection that is stuck keeps no later write waiting', async () => {
    freezeTime()
    const node = await fake()
    for (const key of ['a', 'b']) {
      const kv = clientOf([node], { timeoutMs: 3_600_000 })
      const isAsked = new Promise<void>((resolve) => {
        node.questionFault = () => {
          resolve()
          return 'hang'
        }
      })
      const stuck = failure(kv.put('stuck', '1', { timeoutMs: 60_000 }))
      await isAsked
      vi.advanceTimersByTime(1_000)
      node.questionFault = () => undefined
      await kv.put(key, '1')
      expect(kv[inspect]()).toMatchObject({ calls: 1, questions: 1 })
      vi.advanceTimersByTime(60_000)
      expect(await stuck).toMatchObject({ code: 'timeout', written: 'no' })
      expect(kv[inspect]()).toMatchObject({ calls: 0, questions: 0 })
    }
    expect(node.contents).toEqual({ a: '1', b: '1' })
  })

  test('a node that has no room for the connection is asked again', async () => {
    const node = await fake()
    for (let round = 1; round <= 2; round++) {
      // A node refuses a connection like this: before any code that knows the cluster, and an answer to HEAD has no
      // body.
      const full = {
        ...problem(429, 'overloaded', 'no room'),
        headers: { 'kv-cluster': '', 'kv-revision': '' },
      }
      const faults = [full, full]
      node.questionFault = () => faults.shift()
      expect(await clientOf([node]).put('a', '1')).toMatchObject({ version: round })
    }
    expect(node.questions.length).toBe(6)
  })

  test('the client is closed', async () => {
    const node = await fake()
    const kv = clientOf([node])
    node.questionFault = () => {
      void kv.close()
      return 'hang'
    }
    const errors = await Promise.all([failure(kv.put('a', '1')), failure(kv.put('b', '2'))])
    for (const error of errors) expect(error).toMatchObject({ code: 'closed', written: 'no' })
  })

  test('another program on the port, or one that hides the headers', async () => {
    const node = await fake()
    for (const status of [200, 404]) {
      node.questionFault = () => ({ status, body: '', headers: { 'kv-cluster': '' } })
      expect(await failure(clientOf([node]).put('a', '1'))).toMatchObject({
        code: 'unexpected_answer',
        written: 'no',
      })
    }
    expect(node.seen).toEqual([])
  })
})

describe('a token that is too old', () => {
  test('is replaced by one that is in use from now on, as often as necessary', async () => {
    const node = await fake()
    const kv = clientOf([node])
    for (const round of [1, 2, 3]) {
      await kv.put('a', 'x')
      node.set('other', `${round}`)
      node.forgetOutcomes()
      expect(await kv.put('a', `${round}`)).toMatchObject({ version: 2 * round })
      expect(await kv.delete('gone')).toMatchObject({ deleted: 0 })
    }
    const tokens = node.seen.map((seen) => String(seen.headers['idempotency-key']).split(';')[0])
    expect(new Set(tokens).size).toBe(tokens.length)
  })

  test("also when the store's revision rises while the write is under way", async () => {
    const node = await fake()
    const kv = clientOf([node])
    await kv.get('a')
    let more = 3
    node.fault = () => {
      if (more-- > 0) {
        node.set('other', 'x')
        node.forgetOutcomes()
      }
      return undefined
    }
    expect(await kv.put('a', '1')).toMatchObject({ version: 1 })
  })

  test('but not after a try that may have been applied', async () => {
    const node = await fake()
    const kv = clientOf([node])
    await kv.put('a', '1')
    node.faults.push('cut')
    node.set('other', 'x')
    node.forgetOutcomes()
    const error = await failure(kv.put('a', '2'))
    expect(error).toMatchObject({ code: 'outcome_unknown', written: 'unknown' })
    expect(node.contents.a).toBe('1')
    // The answer has told a newer revision.
    expect(await kv.put('a', '3')).toMatchObject({ version: 2 })
  })

  test('nor while another node has not answered', async () => {
    const [silent, node] = [await fake(), await fake('n2')]
    const kv = clientOf([silent, node], { timeoutMs: 3_600_000 })
    await Promise.all([kv.get('a'), kv.get('b')])
    silent.fault = () => 'hang'
    node.set('other', 'x')
    node.forgetOutcomes()
    const results = await Promise.all(
      [kv.put('a', '1'), kv.put('b', '2')].map((put) => put.catch((error) => error)),
    )
    expect(results.filter((result) => result.written === 'unknown').length).toBe(1)
    expect(results.filter((result) => result.version === 1).length).toBe(1)
  })

  test('that never becomes a newer one is an error: nothing was written', async () => {
    const node = await fake()
    node.fault = () => problem(409, 'idempotency_expired', 'too old')
    const error = await failure(clientOf([node], { timeoutMs: 300 }).put('a', '1'))
    expect(error).toMatchObject({ code: 'idempotency_expired', written: 'no' })
  })
})
