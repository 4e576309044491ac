// The code of multiplexed connections is loaded for a client with many calls, and that may fail.

import { expect, onTestFinished, test, vi } from 'vitest'
import { MuxTransport } from '../../../src/client/transport/mux-transport.ts'

const CONNECTION = '../../../src/client/transport/mux-connection.ts'

test('code that could not be loaded is tried again after a pause, with one warning', async () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  onTestFinished(() => {
    vi.doUnmock(CONNECTION)
    vi.useRealTimers()
  })
  let failures = 0
  vi.doMock(CONNECTION, () => {
    failures++
    throw new Error('too many open files')
  })
  const warnings: string[] = []
  const mux = new MuxTransport({
    warn: (text: string) => warnings.push(text),
  } as unknown as ConstructorParameters<typeof MuxTransport>[0])
  onTestFinished(() => mux.close())
  const beMany = (): void => {
    for (let call = 0; call < 64; call++) mux.noteCall(1)
  }
  beMany()
  await vi.waitUntil(() => warnings.length > 0, { timeout: 60_000 })
  beMany()
  expect([mux.isActive, failures]).toEqual([false, 1])
  vi.advanceTimersByTime(10_000)
  beMany()
  await vi.waitUntil(() => failures > 1, { timeout: 60_000 })
  vi.doUnmock(CONNECTION)
  await vi.waitUntil(
    () => {
      beMany()
      vi.advanceTimersByTime(10_000)
      return mux.isActive
    },
    { timeout: 60_000 },
  )
  expect(warnings).toHaveLength(1)
})
