// The command of `kv watch --exec`, and signals that come again and again.

import { getEventListeners } from 'node:events'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { runOnce } from '../../src/cli/exec/watch-exec.ts'
import { SAME_SIGNAL_MS } from '../../src/cli/terminal/stop-signals.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] })
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

test.each<[string, readonly string[]]>([
  ['with 0', [process.execPath, '-e', '']],
  ['with another code', [process.execPath, '-e', 'process.exit(3)']],
  ['and was never begun', ['no-such-command']],
])('a command that ends %s leaves the signals to the watch', async (_, command) => {
  const { signal } = new AbortController()
  await runOnce(command, 7, '{}', signal).catch(() => {})
  expect(['SIGTERM', 'SIGHUP'].map((name) => process.listenerCount(name))).toEqual([0, 0])
  expect(getEventListeners(signal, 'abort')).toEqual([])
})

test('a closed terminal repeats its signal: kv waits for the command all the same, until a later one insists', async () => {
  const killed = vi.spyOn(process, 'kill').mockReturnValue(true)
  const command = [process.execPath, '-e', 'setInterval(() => {}, 1000)']
  const running = runOnce(command, 7, '{}', new AbortController().signal)
  expect(process.emit('SIGHUP', 'SIGHUP')).toBe(true)
  vi.advanceTimersByTime(SAME_SIGNAL_MS - 1)
  // Without a listener it would end this process.
  expect(process.emit('SIGHUP', 'SIGHUP')).toBe(true)
  expect(killed).not.toHaveBeenCalled()
  vi.advanceTimersByTime(1)
  process.emit('SIGTERM', 'SIGTERM')
  expect(killed.mock.calls).toEqual([[process.pid, 'SIGTERM']])
  await expect(running).rejects.toThrow('ended with exit code 143')
  expect(killed.mock.lastCall).toEqual([process.pid, 'SIGHUP'])
  expect([process.listenerCount('SIGTERM'), process.listenerCount('SIGHUP')]).toEqual([0, 0])
})
