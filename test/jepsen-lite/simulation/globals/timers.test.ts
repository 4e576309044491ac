// Timers of a simulated process. This module imported them before they were replaced.

import { AsyncLocalStorage } from 'node:async_hooks'
import timers, { setTimeout as namedSetTimeout } from 'node:timers'
import timersPromises, {
  setImmediate as nextTurn,
  scheduler,
  setTimeout as sleep,
} from 'node:timers/promises'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { settle, virtualHost } from './virtual-host.ts'

test.each([
  ['a global', () => setTimeout],
  ['a module', () => timers.setTimeout],
  ['an import of before', () => namedSetTimeout],
])('a timer of %s fires at its time and with its arguments', async (_name, find) => {
  const host = virtualHost()
  const fired: unknown[] = []
  host.run(() => {
    find()((...args: unknown[]) => fired.push(args, performance.now()), 20, 'a', 'b')
    find()(() => fired.push('first'), 10)
  })
  await host.advance(19)
  expect(fired).toEqual(['first'])
  await host.advance(1)
  expect(fired).toEqual(['first', ['a', 'b'], 20.25])
})

test('code of no process finds the real timers', async () => {
  const host = virtualHost()
  const timer = setTimeout(() => {}, 1_000_000)
  const immediate = setImmediate(() => {})
  clearTimeout(timer)
  clearImmediate(immediate)
  expect(timer).toHaveProperty('_destroyed', true)
  expect(immediate).toHaveProperty('_destroyed', true)
  await sleep(1)
  await nextTurn()
  await promisify(setTimeout)(1)
  for await (const _tick of timersPromises.setInterval(1)) break
  expect(host.delays).toEqual([])
})

test.each([
  [Number.NaN, 1],
  [-5, 1],
  [0, 1],
  [undefined, 1],
  [null, 1],
  [2 ** 31, 1],
  [Number.POSITIVE_INFINITY, 1],
  [2 ** 31 - 1, 2 ** 31 - 1],
  [7.9, 7],
  ['12', 12],
])('a delay of %s is one of %d ms, as in Node', (delay, ms) => {
  const host = virtualHost()
  host.run(() => {
    setTimeout(() => {}, delay as number)
    setInterval(() => {}, delay as number)
  })
  expect(host.delays).toEqual([ms, ms])
})

test('a callback runs in the async context of the caller, with the timer as `this`', async () => {
  const host = virtualHost()
  const user = new AsyncLocalStorage<string>()
  const seen: unknown[] = []
  const timer = host.run(() =>
    user.run('caller', () => {
      setImmediate(() => seen.push(['immediate', user.getStore()]))
      return setTimeout(function (this: unknown) {
        seen.push([this, user.getStore()])
      }, 1)
    }),
  )
  await user.run('other', () => host.advance(1))
  expect(seen).toEqual([
    ['immediate', 'caller'],
    [timer, 'caller'],
  ])
})

test.each([
  ['its object', (timer: NodeJS.Timeout) => clearTimeout(timer)],
  ['its number', (timer: NodeJS.Timeout) => clearTimeout(+timer)],
  ['the text of its number', (timer: NodeJS.Timeout) => clearTimeout(`${+timer}`)],
  ['clearInterval', (timer: NodeJS.Timeout) => clearInterval(timer)],
  ['close', (timer: NodeJS.Timeout) => timer.close()],
  ['dispose', (timer: NodeJS.Timeout) => timer[Symbol.dispose]()],
])('a timer is cleared by %s', async (_name, clear) => {
  const host = virtualHost()
  const fired: string[] = []
  host.run(() => {
    const timer = setTimeout(() => fired.push('cleared'), 1)
    setTimeout(() => fired.push('kept'), 1)
    clear(timer)
    timer.refresh()
  })
  await host.advance(5)
  expect(fired).toEqual(['kept'])
})

test('a process clears a real timer that was set before', () => {
  const timer = setTimeout(() => {}, 1_000_000)
  const numbered = setTimeout(() => {}, 1_000_000)
  const number = +numbered
  const host = virtualHost()
  host.run(() => {
    clearTimeout(timer)
    clearTimeout(number)
    clearTimeout(undefined)
  })
  expect([timer, numbered]).toEqual([
    expect.objectContaining({ _destroyed: true }),
    expect.objectContaining({ _destroyed: true }),
  ])
})

test('an interval fires until it is cleared, also if its callback throws', async () => {
  const host = virtualHost()
  const fired: number[] = []
  host.run(() => {
    const timer = setInterval(
      (by: number) => {
        fired.push(performance.now())
        if (fired.length === 3) clearInterval(timer)
        if (fired.length === by) throw new Error('of the callback')
      },
      10,
      2,
    )
  })
  await host.advance(100)
  expect(fired).toEqual([10.25, 20.25, 30.25])
  expect(host.errors).toEqual([new Error('of the callback')])
  expect(host.timers).toBe(0)
})

test('an interval that has fired is cleared by its number', async () => {
  const host = virtualHost()
  const fired: number[] = []
  const number = host.run(() => +setInterval(() => fired.push(performance.now()), 10))
  await host.advance(25)
  host.run(() => clearInterval(number))
  await host.advance(50)
  expect(fired).toEqual([10.25, 20.25])
  expect(host.timers).toBe(0)
})

test('an interval that its callback refreshes fires once in each delay', async () => {
  const host = virtualHost()
  const fired: number[] = []
  host.run(() => {
    const timer = setInterval(() => {
      fired.push(performance.now())
      if (fired.length === 1) timer.refresh()
    }, 10)
  })
  await host.advance(45)
  expect(fired).toEqual([10.25, 20.25, 30.25, 40.25])
  expect(host.timers).toBe(1)
})

test('refresh begins the delay again, also after the timer has fired', async () => {
  const host = virtualHost()
  const fired: number[] = []
  const timer = host.run(() => setTimeout(() => fired.push(performance.now()), 10))
  await host.advance(9)
  expect(timer.refresh()).toBe(timer)
  await host.advance(9)
  expect(fired).toEqual([])
  await host.advance(1)
  host.run(() => timer.refresh())
  await host.advance(20)
  expect(fired).toEqual([19.25, 29.25])
})

test('a timer knows whether it keeps its process', () => {
  const host = virtualHost()
  host.run(() => {
    for (const timer of [setTimeout(() => {}), setInterval(() => {}), setImmediate(() => {})]) {
      expect(timer.hasRef()).toBe(true)
      expect(timer.unref()).toBe(timer)
      expect(timer.hasRef()).toBe(false)
      expect(timer.ref().hasRef()).toBe(true)
    }
  })
})

test.each<[string, boolean, () => unknown]>([
  ['sleep', true, () => sleep(10)],
  ['sleep with ref: false', false, () => sleep(10, undefined, { ref: false })],
  ['an iteration', true, () => timersPromises.setInterval(10).next()],
  ['an iteration with ref: false', false, () => timersPromises.setInterval(10, 0, { ref: false }).next()],
  ['AbortSignal.timeout', false, () => AbortSignal.timeout(10)],
])('the timer of %s keeps its process: %s', (_name, keeps, begin) => {
  const host = virtualHost()
  host.run(begin)
  expect([host.timers, host.keeping]).toEqual([1, keeps ? 1 : 0])
})

test('immediates run in the next turn, unless they are cleared', async () => {
  const host = virtualHost()
  const ran: unknown[] = []
  host.run(() => {
    setImmediate((...args: unknown[]) => ran.push(args), 1, 2)
    clearImmediate(setImmediate(() => ran.push('cleared')))
    setImmediate(() => ran.push('disposed'))[Symbol.dispose]()
  })
  await settle()
  expect(ran).toEqual([])
  await host.advance(0)
  expect(ran).toEqual([[1, 2]])
})

test('what is no function is rejected as Node rejects it', () => {
  const host = virtualHost()
  for (const set of [setTimeout, setInterval, setImmediate])
    expect(() => host.run(() => set('text' as never))).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
    )
})

test.each([
  ['an import of before', () => sleep(10, 'value')],
  ['a module', () => timersPromises.setTimeout(10, 'value')],
  ['timers.promises', () => timers.promises.setTimeout(10, 'value')],
  ['promisify', () => promisify(setTimeout)(10, 'value')],
  ['scheduler.wait', () => scheduler.wait(10).then(() => 'value')],
])('a promise of %s is fulfilled at its time', async (_name, begin) => {
  const host = virtualHost()
  const fulfilled: unknown[] = []
  const waiting = host.run(async () => fulfilled.push(await begin()))
  await host.advance(9)
  expect(fulfilled).toEqual([])
  await host.advance(1)
  expect(fulfilled).toEqual(['value'])
  await waiting
})

test.each([
  ['setImmediate', () => nextTurn('value')],
  ['promisify', () => promisify(setImmediate)('value')],
  ['scheduler.yield', () => scheduler.yield().then(() => 'value')],
])('a promise of %s is fulfilled in the next turn', async (_name, begin) => {
  const host = virtualHost()
  const fulfilled: unknown[] = []
  const waiting = host.run(async () => fulfilled.push(await begin()))
  await settle()
  expect(fulfilled).toEqual([])
  await host.advance(0)
  expect(fulfilled).toEqual(['value'])
  await waiting
})

test.each([
  ['setTimeout', (signal: AbortSignal) => sleep(10, undefined, { signal })],
  ['setImmediate', (signal: AbortSignal) => nextTurn(undefined, { signal })],
  ['scheduler.wait', (signal: AbortSignal) => scheduler.wait(10, { signal })],
  ['setInterval', (signal: AbortSignal) => timersPromises.setInterval(10, undefined, { signal }).next()],
])('a signal ends what waits for %s', async (_name, begin) => {
  const host = virtualHost()
  const reason = new Error('given up')
  const ended = { name: 'AbortError', code: 'ABORT_ERR', message: 'The operation was aborted', cause: reason }
  const late = new AbortController()
  const waiting = host.run(() => expect(begin(late.signal)).rejects.toMatchObject(ended))
  await settle()
  late.abort(reason)
  await waiting
  await host.run(() => expect(begin(AbortSignal.abort(reason))).rejects.toMatchObject(ended))
  expect(host.timers).toBe(0)
})

test('options that are not valid are rejected as Node rejects them', async () => {
  const host = virtualHost()
  const invalid = { code: 'ERR_INVALID_ARG_TYPE' }
  await host.run(async () => {
    await expect(sleep(1, 0, { signal: 'no' as never })).rejects.toMatchObject(invalid)
    await expect(sleep(1, 0, { ref: 'no' as never })).rejects.toMatchObject(invalid)
    await expect(nextTurn(0, null as never)).rejects.toMatchObject(invalid)
    await expect(sleep('1' as never)).rejects.toMatchObject(invalid)
  })
})

test('an iteration over an interval sees each of its ticks, and ends it', async () => {
  const host = virtualHost()
  const seen: unknown[] = []
  const iteration = host.run(async () => {
    for await (const value of timersPromises.setInterval(10, 'tick')) {
      seen.push([value, performance.now()])
      if (seen.length === 1) await sleep(25)
      if (seen.length === 4) break
    }
  })
  await host.advance(100)
  await iteration
  expect(seen).toEqual([
    ['tick', 10.25],
    ['tick', 35.25],
    ['tick', 35.25],
    ['tick', 40.25],
  ])
  expect(host.timers).toBe(0)
})

test('AbortSignal.timeout aborts at its time', async () => {
  const host = virtualHost()
  const signal = host.run(() => AbortSignal.timeout(10))
  await host.advance(9)
  expect(signal.aborted).toBe(false)
  await host.advance(1)
  expect(signal.reason).toBeInstanceOf(DOMException)
  expect(signal.reason).toMatchObject({
    name: 'TimeoutError',
    message: 'The operation was aborted due to timeout',
  })
  expect(() => host.run(() => AbortSignal.timeout(-1))).toThrow(
    expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }),
  )
})
