// A watch of the driver that is opened, and that nobody reads.

import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { WatchResponse } from '../../src/etcd/messages/watch.ts'
import type { EtcdCalls } from '../../src/etcd-client/operations/operation.ts'
import { watch } from '../../src/etcd-client/operations/watch.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test('keeps no process alive', async () => {
  const cancel = vi.fn()
  async function* responses(): AsyncGenerator<Partial<WatchResponse>> {
    yield { created: true, canceled: false, events: [] }
    await new Promise(() => {})
  }
  const stream = { ...{ send() {}, cancel, isSent: true }, [Symbol.asyncIterator]: responses }
  const calls = { duplex: () => stream, silentMs: 1_000, background: false } as unknown as EtcdCalls
  const request = { where: { key: new Uint8Array([1]) }, prev: false, values: true, progressMs: 300 }
  const opened = await watch(
    { kind: 'watch', request: { ...request, from: undefined, only: undefined } },
    calls,
  )
  expect(vi.getTimerCount()).toBe(0)
  if ('stream' in opened) opened.stream.destroy()
  expect(cancel).toHaveBeenCalled()
})
