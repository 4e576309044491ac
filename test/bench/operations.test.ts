import { expect, test } from 'vitest'
import { keyName, type Load } from '../../bench/load/load.ts'
import { operationsOf } from '../../bench/load/operations.ts'
import type { Target } from '../../bench/load/target.ts'

const LOAD: Load = {
  over: 'http',
  endpoints: [],
  connections: 1,
  in_flight: 1,
  rate: null,
  reads: 0,
  consistency: 'linearizable',
  writes: 'put',
  range: 1,
  keys: 100,
  fill_from: null,
  value_bytes: 256,
  warmup_seconds: 0,
  seconds: 1,
}

/** Notes what it is asked for. */
class FakeTarget implements Target {
  readonly asked: string[] = []
  readonly values: Uint8Array[] = []
  /** Number of the request that it refuses. */
  refuses = 0

  async put(key: string, value: Uint8Array): Promise<void> {
    this.asked.push(`put ${key}`)
    this.values.push(Uint8Array.from(value))
  }

  async update(key: string, _: Uint8Array, revision: number): Promise<number> {
    this.asked.push(`update ${key} ${revision}`)
    if (this.asked.length === this.refuses) throw new Error('conflict')
    return this.asked.length
  }

  async get(key: string, consistency: string): Promise<void> {
    this.asked.push(`get ${key} ${consistency}`)
  }

  async range(start: string, limit: number): Promise<void> {
    this.asked.push(`range ${start} ${limit}`)
  }

  close(): void {}
}

async function operate(load: Partial<Load>, times: number): Promise<FakeTarget> {
  const target = new FakeTarget()
  const next = operationsOf({ ...LOAD, ...load }, target)
  for (let time = 0; time < times; time++) await next()
  return target
}

const targetsOf = (asked: readonly string[]): (string | undefined)[] =>
  asked.map((what) => what.split(' ')[1])

test('creations are of keys that no store has, each once', async () => {
  const { asked } = await operate({ writes: 'create' }, 50)
  expect(asked.every((what) => /^update new-\S+ 0$/.test(what))).toBe(true)
  expect(new Set(asked).size).toBe(50)
})

test('updates state the revision of the last answer, of the key whose turn is the longest ago', async () => {
  const { asked } = await operate({ writes: 'update', in_flight: 1 }, 40)
  const keys = targetsOf(asked)
  const first = keys.slice(0, 16)
  expect(new Set(first).size).toBe(16)
  expect(keys.slice(16, 32)).toEqual(first)
  expect(asked.map((what) => Number(what.split(' ')[2]))).toEqual(
    asked.map((_, at) => (at < 16 ? 0 : at - 15)),
  )
})

test('a key whose update fails is replaced by a new one, and no other is lost', async () => {
  const target = new FakeTarget()
  target.refuses = 3
  const next = operationsOf({ ...LOAD, writes: 'update' }, target)
  for (let time = 0; time < 32; time++) await next()?.catch(() => {})
  const keys = targetsOf(target.asked)
  expect(keys.slice(16).map((key, at) => key === keys[at])).toEqual(
    Array.from({ length: 16 }, (_, at) => at !== 2),
  )
  expect(target.asked[18]).toMatch(/ 0$/)
})

const verbs = (asked: readonly string[]): Set<string | undefined> =>
  new Set(asked.map((what) => what.split(' ')[0]))

test('filling writes each key once, and then there is nothing more to do', async () => {
  const { asked } = await operate({ fill_from: 2, keys: 5 }, 10)
  expect(asked).toEqual([2, 3, 4].map((number) => `put ${keyName(number)}`))
})

test('the share of reads decides between puts and gets', async () => {
  expect(verbs((await operate({ reads: 0 }, 50)).asked)).toEqual(new Set(['put']))
  expect(verbs((await operate({ reads: 1 }, 50)).asked)).toEqual(new Set(['get']))
  expect(verbs((await operate({ reads: 0.5 }, 200)).asked)).toEqual(new Set(['put', 'get']))
})

test('keys are those of the store, and a range begins where all its keys follow', async () => {
  const { asked } = await operate({ reads: 1, range: 10, keys: 30 }, 500)
  const starts = asked.map((what) => what.split(' ')[1] ?? '').sort()
  expect(starts[0]).toBe(keyName(0))
  expect(starts.at(-1)).toBe(keyName(20))
})

test('values have the length asked for and differ, so that a store cannot compress them', async () => {
  const { values } = await operate({ value_bytes: 64 }, 20)
  expect(values.every(({ length }) => length === 64)).toBe(true)
  expect(new Set(values.map(String)).size).toBe(20)
})
