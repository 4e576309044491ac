// In a context of node:vm, which has other globals, as Jest and some pools of Vitest run tests.

import crypto from 'node:crypto'
import timersPromises from 'node:timers/promises'
import { promisify } from 'node:util'
import { expect, onTestFinished, test, vi } from 'vitest'
import { replaceGlobals } from '../../../../jepsen-lite/simulation/globals/index.ts'
import { virtualHost } from './virtual-host.ts'

test('a process has its own globals', async () => {
  const host = virtualHost()
  const seen: unknown[] = []
  const ended = host.run(async () => {
    setTimeout((text: string) => seen.push(text), 10, 'setTimeout')
    await timersPromises.setTimeout(11)
    await promisify(setTimeout)(1)
    seen.push(performance.now(), Date.now(), new Date() instanceof Date, process.uptime())
    seen.push(Math.random(), crypto.randomUUID(), globalThis.crypto.randomUUID())
    console.log('text')
    process.stdout.write('more')
    await expect((async () => process.getBuiltinModule('node:fs').readFileSync('x'))()).rejects.toThrow(
      'refused',
    )
    expect(() => new MessageChannel()).toThrow('refused: MessageChannel')
    expect(() => process.exit()).toThrow('refused: process.exit')
    seen.push(await (await fetch('http://x/')).text())
    expect(AbortSignal.timeout(5).aborted).toBe(false)
    seen.push((await promisify<string, string, number, Buffer>(crypto.scrypt)('word', 'salt', 4)).length)
  })
  await host.advance(100)
  await ended
  expect(seen.slice(0, 5)).toEqual(['setTimeout', 12.25, 1_000_012, true, 0.012_25])
  expect(seen.slice(-2)).toEqual(['answer to GET http://x/', 4])
  expect(host.written).toEqual([
    ['stdout', 'text\n'],
    ['stdout', 'more'],
  ])
})

test('timers of the test may be fake', async () => {
  vi.useFakeTimers({ now: 7000 })
  onTestFinished(() => void vi.useRealTimers())
  const host = virtualHost()
  const fired: string[] = []
  host.run(() => setTimeout(() => fired.push('of the process'), 10))
  setTimeout(() => fired.push('of the test'), 10)
  vi.advanceTimersByTime(10)
  await host.advance(10)
  expect(fired).toEqual(['of the test', 'of the process'])
})

test('globals are given back as they were', () => {
  const objects = [globalThis, process, performance, console, Math, Date, crypto.webcrypto, process.stdout]
  const descriptors = () => objects.map((object) => Object.getOwnPropertyDescriptors(object))
  const before = descriptors()
  const giveBack = replaceGlobals(() => undefined)
  expect(descriptors()).not.toEqual(before)
  giveBack()
  for (const [at, now] of descriptors().entries())
    for (const key of Reflect.ownKeys(now))
      expect(Reflect.get(now, key), String(key)).toEqual(Reflect.get(before[at] ?? {}, key))
})
