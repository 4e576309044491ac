// An import writes the records of a queue in the order of their keys, so all items come before all values. Consumers may
// run meanwhile.

import { beforeAll, expect, it, vi } from 'vitest'
import { queue } from '../../src/recipes/index.ts'
import { sleep, virtualCluster } from './virtual-cluster.ts'

beforeAll(() => void vi.spyOn(process, 'emitWarning').mockImplementation(() => {}))
const old = virtualCluster()
const cluster = virtualCluster()

it('items that are imported while consumers run become dead letters that no consumer has seen, before their values come', async () => {
  const before = old.client()
  for (const value of ['a', 'b', 'c']) await queue(before, 'q').push(value)
  const records: (readonly [Uint8Array, Uint8Array])[] = []
  for await (const { keyBytes, value } of before.list({ prefix: 'queue/' })) records.push([keyBytes, value])

  const kv = cluster.client()
  const jobs = queue(kv, 'q', { visibilityMs: 2_000 })
  const end = new AbortController()
  const seen: string[] = []
  const consuming = jobs.consume((item) => void seen.push(item.text()), { signal: end.signal })
  // The queue is large: the first value is written some time after the first item.
  let isAtValues = false
  for (const [key, value] of records) {
    if (!isAtValues && Buffer.from(key).toString().startsWith('queue/q/value/')) {
      isAtValues = true
      await sleep(15_000)
    }
    await kv.put(key, value)
  }
  await sleep(60_000)
  end.abort()
  await consuming
  expect({ seen: seen.toSorted(), ...(await jobs.len()) }).toEqual({
    ...{ seen: ['a', 'b', 'c'], ready: 0, held: 0, dead: 0 },
  })
})
