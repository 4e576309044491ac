// The simulator's judge shares the codec of requests with the store. Here that codec is broken on purpose: writing and reading agree with each
// other, and every replica holds the same wrong bytes. Only the request as its client sent it tells.

import { expect, test, vi } from 'vitest'

type Codec = typeof import('../../../src/kv/request.ts')

let damage: (body: Uint8Array, bytes: number) => void = () => {}

vi.mock(import('../../../src/kv/request.ts'), async (original) => {
  const codec: Codec = await original()
  return {
    ...codec,
    writeRequest(request, target, at) {
      codec.writeRequest(request, target, at)
      if (request.command.kind === 'put') damage(target, at + codec.requestBytes(request))
    },
  }
})

const { generate, runSchedule } = await import('../../../jepsen-lite/sim/index.ts')

test('a codec that damages every value is found, although all replicas agree and every read shows what was stored', () => {
  const schedule = { ...generate(1, 3), faults: [] }
  damage = () => {}
  expect(runSchedule(schedule).violation).toBeUndefined()
  damage = (body, end) => {
    body[end - 1] = (body[end - 1] ?? 0) ^ 1
  }
  expect(runSchedule(schedule).violation?.invariant).toBe('ANSWER-6')
})
