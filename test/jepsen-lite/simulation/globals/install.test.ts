// Globals are replaced, and given back as they were.

import { builtinModules, createRequire } from 'node:module'
import { expect, onTestFinished, test, vi } from 'vitest'
import { realImmediate, realNow, replaceGlobals } from '../../../../jepsen-lite/simulation/globals/index.ts'
import { VirtualHost, virtualHost } from './virtual-host.ts'

const require = createRequire(import.meta.url)

/** Modules that print a warning when they are loaded. */
const EXPERIMENTAL = /^(_|punycode|sys|wasi|inspector|repl|trace_events|test)/

const isObject = (value: unknown): value is object =>
  (typeof value === 'object' && value !== null) || typeof value === 'function'

/** Values of properties, without the call of a getter, and without those of the test runner. */
const valuesOf = (object: object): object[] =>
  Object.entries(Object.getOwnPropertyDescriptors(object))
    .filter(([name]) => !name.startsWith('__vitest'))
    .map(([, { value }]) => value)
    .filter(isObject)

/** Everything that code reaches from global objects and modules of Node in two steps. */
function reachable(): Set<object> {
  const modules: object[] = builtinModules
    .filter((name) => !EXPERIMENTAL.test(name))
    .map((name) => require(name))
  const roots = [globalThis, process.stdout, process.stderr, crypto, crypto.subtle, ...modules]
  const near = roots.flatMap(valuesOf)
  return new Set([...roots, ...near, ...near.flatMap(valuesOf)])
}

const descriptors = () =>
  new Map([...reachable()].map((object) => [object, Object.getOwnPropertyDescriptors(object)]))

/** Names of properties that differ. */
function differences(before: ReturnType<typeof descriptors>): string[] {
  const found: string[] = []
  for (const [object, properties] of before) {
    const now = Object.getOwnPropertyDescriptors(object)
    for (const key of new Set([...Reflect.ownKeys(properties), ...Reflect.ownKeys(now)])) {
      const [a, b] = [Reflect.get(properties, key), Reflect.get(now, key)]
      const parts = ['value', 'get', 'set', 'writable', 'enumerable', 'configurable']
      if (parts.some((part) => !Object.is(a?.[part], b?.[part]))) found.push(String(key))
    }
  }
  return found
}

test('every property is given back as it was', () => {
  const before = descriptors()
  const giveBack = replaceGlobals(() => undefined)
  expect(differences(before)).toEqual(expect.arrayContaining(['setTimeout', 'Date', 'now', 'randomUUID']))
  giveBack()
  expect(differences(before)).toEqual([])
  replaceGlobals(() => undefined)()
  expect(differences(before)).toEqual([])
})

test('a simulation that has ended takes nothing from the next one', () => {
  const giveBack = replaceGlobals(() => undefined)
  giveBack()
  const host = virtualHost()
  giveBack()
  expect(host.run(Date.now)).toBe(1_000_000)
})

test('nothing is replaced if one replacement fails', () => {
  const real = globalThis.performance
  const before = descriptors()
  vi.stubGlobal(
    'performance',
    new Proxy(real, {
      defineProperty() {
        throw new Error('is frozen')
      },
    }),
  )
  try {
    expect(() => replaceGlobals(() => undefined)).toThrow('is frozen')
  } finally {
    vi.unstubAllGlobals()
  }
  expect(differences(before)).toEqual([])
  replaceGlobals(() => undefined)()
})

test('globals that are replaced already are not replaced again', () => {
  const giveBack = replaceGlobals(() => undefined)
  onTestFinished(giveBack)
  const before = descriptors()
  expect(() => replaceGlobals(() => undefined)).toThrow('one simulation at a time')
  expect(differences(before)).toEqual([])
})

test('a process has its own timers and clocks while those of the test are fake', async () => {
  vi.useFakeTimers({ now: 7000 })
  onTestFinished(() => void vi.useRealTimers())
  const before = descriptors()
  const fired: string[] = []
  const host = virtualHost()
  host.run(() => setTimeout(() => fired.push('of the process'), 10))
  setTimeout(() => fired.push('of the test'), 10)
  vi.advanceTimersByTime(10)
  expect(fired).toEqual(['of the test'])
  expect(Date.now()).toBe(7010)
  expect(host.run(Date.now)).toBe(1_000_000)
  await host.advance(10)
  expect(fired).toEqual(['of the test', 'of the process'])
  expect(differences(before)).not.toEqual([])
})

test('the simulation has real turns and real time while timers are fake and globals are replaced', async () => {
  const before = realNow()
  vi.useFakeTimers({ toFake: ['setImmediate', 'setTimeout', 'performance', 'hrtime', 'Date'] })
  onTestFinished(() => void vi.useRealTimers())
  const host = virtualHost()
  await host.run(() => new Promise<void>(realImmediate))
  expect(host.timers).toBe(0)
  expect(host.run(realNow)).toBeGreaterThan(before)
})

test('each simulation finds the functions of the time when it begins', () => {
  replaceGlobals(() => undefined)()
  const random = vi.spyOn(Math, 'random').mockReturnValue(0.5)
  onTestFinished(() => random.mockRestore())
  const giveBack = replaceGlobals(() => undefined)
  onTestFinished(giveBack)
  expect(Math.random()).toBe(0.5)
  giveBack()
  random.mockRestore()
  onTestFinished(replaceGlobals(() => undefined))
  expect(Math.random()).not.toBe(0.5)
})

test('what code has kept of a process finds the real globals afterwards', async () => {
  const giveBack = replaceGlobals(() => undefined)
  const { setTimeout: kept, Date: KeptDate } = globalThis
  giveBack()
  await new Promise((resolve) => kept(resolve, 1))
  expect(Math.abs(KeptDate.now() - Date.now())).toBeLessThan(60_000)
})

test('numbers of processes and timers are the same in each simulation', () => {
  const numbers = (): number[] => {
    const host = new VirtualHost()
    const giveBack = replaceGlobals(() => host)
    try {
      return [process.pid, +setTimeout(() => {}, 1)]
    } finally {
      giveBack()
    }
  }
  expect(numbers()).toEqual(numbers())
})
