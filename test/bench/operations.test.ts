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

  async put(key: string, value: Uint8Array): Promise<void> {
    this.asked.push(`put ${key}`)
    this.values.push(Uint8Array.from(value))
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
