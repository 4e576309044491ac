// A test of node:test whose timers were fake before the module under test was loaded.

import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { mock, test } from 'node:test'
import timersPromises, { scheduler, setTimeout as sleep } from 'node:timers/promises'

const GLOBALS = new URL('../../../../../jepsen-lite/simulation/globals/index.ts', import.meta.url)

test('a process has its own timers, and the simulation real turns', async () => {
  mock.timers.enable({ now: 7000 })
  const { realImmediate, realNow, replaceGlobals } = await import(GLOBALS)
  const begin = realNow()
  await new Promise(realImmediate)
  assert(realNow() > begin)
  // Node loads it, and what it needs, when it is first read.
  assert(WebSocket)
  const objects = [globalThis, timersPromises, scheduler, Date, AbortSignal]
  const descriptors = () => objects.map((object) => Object.getOwnPropertyDescriptors(object))
  const before = descriptors()
  const processes = new AsyncLocalStorage()
  const delays = []
  const fired = []
  const process = {
    wallTimeMs: () => 5,
    setTimer(delay, run) {
      delays.push(delay)
      realImmediate(run)
      return { cancel() {} }
    },
  }
  const giveBack = replaceGlobals(() => processes.getStore())
  setTimeout(() => fired.push('of the test'), 10)
  await processes.run(process, async () => {
    assert.equal(Date.now(), 5)
    await sleep(11)
    await scheduler.wait(12)
    await new Promise((resolve) => setTimeout(resolve, 13))
    await new Promise((resolve) => AbortSignal.timeout(14).addEventListener('abort', resolve))
  })
  assert.deepEqual(delays, [11, 12, 13, 14])
  assert.deepEqual(fired, [])
  assert.equal(Date.now(), 7000)
  mock.timers.tick(10)
  assert.deepEqual(fired, ['of the test'])
  giveBack()
  for (const [at, now] of descriptors().entries())
    for (const key of Reflect.ownKeys({ ...now, ...before[at] }))
      for (const part of ['value', 'get', 'set', 'writable', 'enumerable', 'configurable'])
        assert.equal(now[key]?.[part], before[at]?.[key]?.[part], String(key))
})
