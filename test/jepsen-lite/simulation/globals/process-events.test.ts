// Listeners and other state of `process`, which a simulated process has for itself.

import { once } from 'node:events'
import { expect, test } from 'vitest'
import { replaceGlobals } from '../../../../jepsen-lite/simulation/globals/index.ts'
import { VirtualHost, virtualHost } from './virtual-host.ts'

test.each(['SIGTERM', 'exit', 'uncaughtException'])('no listener of a process for %s stays', (event) => {
  const emitter: NodeJS.EventEmitter = process
  const before = emitter.listeners(event)
  const host = virtualHost()
  const listener = () => {}
  host.run(() => {
    expect(emitter.on(event, listener)).toBe(process)
    emitter.once(event, () => {})
    emitter.prependListener(event, () => {})
    expect(emitter.listenerCount(event)).toBe(3)
    emitter.off(event, listener)
    expect(emitter.listenerCount(event)).toBe(2)
    emitter.removeAllListeners(event)
  })
  expect(emitter.listeners(event)).toEqual(before)
})

test('each process has its own listeners, and no warning that there are many', () => {
  const [one, other] = [virtualHost(), new VirtualHost()]
  for (const host of [one, other])
    host.run(() => {
      for (let at = 0; at < 6; at++) process.on('SIGHUP', () => {})
      expect(process.listenerCount('SIGHUP')).toBe(6)
    })
  expect([...one.written, ...other.written]).toEqual([])
})

test('a process sends signals to itself', async () => {
  const host = virtualHost()
  const received = host.run(() => once(process, 'SIGTERM'))
  expect(process.emit('SIGUSR2')).toBe(false)
  host.run(() => process.emit('SIGTERM', 'SIGTERM'))
  expect(await received).toEqual(['SIGTERM'])
})

test('the exit code of a process is not that of the test', () => {
  const before = process.exitCode
  const giveBack = replaceGlobals(() => undefined)
  process.exitCode = 3
  giveBack()
  expect(process.exitCode).toBe(before)
})

test('a process has no parent', () => {
  const before = [process.send, process.connected]
  const host = virtualHost()
  expect(host.run(() => [process.send, process.connected])).toEqual([undefined, undefined])
  expect([process.send, process.connected]).toEqual(before)
})
