import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { onStopSignals } from '../../src/cli/terminal/stop-signals.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.removeAllListeners(signal)
})

test('the first signal asks, what follows within half a second is the same, a later one insists', () => {
  const heard: string[] = []
  onStopSignals(
    (signal) => heard.push(signal),
    () => heard.push('again'),
  )
  process.emit('SIGINT', 'SIGINT')
  process.emit('SIGINT', 'SIGINT')
  vi.advanceTimersByTime(499)
  process.emit('SIGTERM', 'SIGTERM')
  expect(heard).toEqual(['SIGINT'])
  vi.advanceTimersByTime(1)
  process.emit('SIGINT', 'SIGINT')
  expect(heard).toEqual(['SIGINT', 'again'])
})
