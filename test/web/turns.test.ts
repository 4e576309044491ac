// Turns of requests: each way in which a turn ends gives it back.

import { expect, test } from 'vitest'
import { RequestTurns } from '../../web/src/cluster/request-turns.ts'

const MAX = 2

/** Work that begins, and ends in this way when `end` is called. */
const ENDINGS: Readonly<Record<string, (work: PromiseWithResolvers<void>) => void>> = {
  'is done': (work) => work.resolve(),
  fails: (work) => work.reject(new Error('no answer')),
  'is aborted': (work) => work.reject(new DOMException('gone', 'AbortError')),
}

const settled = (promise: Promise<unknown>): Promise<void> =>
  promise.then(
    () => undefined,
    () => undefined,
  )

/** Lets all promises that are settled do their work. */
const flush = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Whether so many owners may all begin now, and no further one. */
async function expectAllTurns(turns: RequestTurns): Promise<void> {
  const end = Promise.withResolvers<void>()
  let begun = 0
  const work = () => {
    begun++
    return end.promise
  }
  for (const owner of ['p', 'q', 'r']) void turns.take(owner, work)
  await flush()
  expect(begun).toBe(MAX)
  end.resolve()
  await flush()
  expect(begun).toBe(MAX + 1)
}

test.each(Object.entries(ENDINGS))('a turn whose work %s is given back, however often', async (_, end) => {
  const turns = new RequestTurns(MAX)
  let begun = 0
  for (const [at, owner] of ['a', 'a', 'b', 'c', 'a', 'd', 'e', 'a', 'f'].entries()) {
    const work = Promise.withResolvers<void>()
    void settled(
      turns.take(owner, () => {
        begun++
        return work.promise
      }),
    )
    await flush()
    expect(begun).toBe(at + 1)
    end(work)
    await flush()
  }
  await expectAllTurns(turns)
})

test('a turn whose work throws at once is given back', async () => {
  const turns = new RequestTurns(MAX)
  const causes: unknown[] = []
  for (let count = 0; count < 3 * MAX; count++) {
    const fail = (): never => {
      throw new Error('no such node')
    }
    turns.take(count, fail).catch((error: unknown) => causes.push(error))
  }
  await flush()
  expect(causes).toHaveLength(3 * MAX)
  await expectAllTurns(turns)
})

test('an owner has one request in flight, and does not hold up the others', async () => {
  const turns = new RequestTurns(MAX)
  const begun: string[] = []
  const works = new Map<string, PromiseWithResolvers<void>>()
  const take = (owner: string, name: string) => {
    const work = Promise.withResolvers<void>()
    works.set(name, work)
    return settled(
      turns.take(owner, () => {
        begun.push(name)
        return work.promise
      }),
    )
  }
  void take('a', 'a1')
  void take('a', 'a2')
  void take('b', 'b1')
  await flush()
  expect(begun).toEqual(['a1', 'b1'])
  works.get('a1')?.reject(new Error('no answer'))
  await flush()
  expect(begun).toEqual(['a1', 'b1', 'a2'])
})
