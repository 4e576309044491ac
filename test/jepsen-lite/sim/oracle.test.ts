// The simulator's judge shares the codec of requests with the store. Here that codec is broken on purpose: writing and
// reading agree with each other, and every replica holds the same wrong bytes. Only the request as its client sent it
// tells.

import { expect, onTestFinished, test, vi } from 'vitest'
import type { KvState as State } from '../../../src/kv/index.ts'
import type { LeaderState } from '../../../src/raft/leader-state.ts'

type Codec = typeof import('../../../src/kv/codec/request.ts')

let damage: (body: Uint8Array, bytes: number) => void = () => {}

vi.mock(import('../../../src/kv/codec/request.ts'), async (original) => {
  const codec: Codec = await original()
  return {
    ...codec,
    encodeRequest(request, digest) {
      const body = codec.encodeRequest(request, digest)
      if (request.command.kind === 'put') damage(body, body.length)
      return body
    },
  }
})

type Apply = typeof import('../../../src/kv/apply.ts')

let miscount: (state: State) => State = (state) => state

vi.mock(import('../../../src/kv/apply.ts'), async (original) => {
  const { applyEntry, applySteps }: Apply = await original()
  return {
    applyEntry: (...entry) => {
      const applied = applyEntry(...entry)
      return { ...applied, state: miscount(applied.state) }
    },
    *applySteps(...entry) {
      const applied = yield* applySteps(...entry)
      return { ...applied, state: miscount(applied.state) }
    },
  }
})

let clusterTimeMs: (right: number, electedAt: number, now: number) => number = (right) => right

vi.mock(import('../../../src/raft/leader-state.ts'), async (original) => {
  const { LeaderState: Right, ...rest } = await original()
  class DefectiveLeaderState extends Right {
    override clusterTimeMs(...[now]: Parameters<LeaderState['clusterTimeMs']>): number {
      return clusterTimeMs(super.clusterTimeMs(now), this.electedAt, now)
    }
  }
  return { ...rest, LeaderState: DefectiveLeaderState }
})

const { generate, runSchedule } = await import('../../../jepsen-lite/sim/index.ts')

test('a codec that damages every value is found, although all replicas agree and every read shows what was stored', () => {
  const schedule = { ...generate(4, 3), faults: [] }
  damage = () => {}
  expect(runSchedule(schedule).violation).toBeUndefined()
  damage = (body, end) => {
    body[end - 1] = (body[end - 1] ?? 0) ^ 1
  }
  expect(runSchedule(schedule).violation?.invariant).toBe('ANSWER-6')
})

test('a count that is not given back is found, although all replicas agree and no limit is reached', () => {
  const drawn = generate(1, 3)
  const config = { ...drawn.config, ms: 8000 }
  const schedule = { ...drawn, config, faults: [], ops: drawn.ops.filter(({ kind }) => kind !== 'settings') }
  damage = () => {}
  for (const lie of [
    (state: State) => ({ ...state, keys: state.keys + 1 }),
    (state: State) => ({ ...state, storeBytes: state.storeBytes + 1 }),
    (state: State) => ({
      ...state,
      idempotencyTokens: { ...state.idempotencyTokens, bytes: state.idempotencyTokens.bytes + 1 },
    }),
  ]) {
    miscount = lie
    expect(runSchedule(schedule).violation?.invariant).toBe('KV-5')
  }
})

test.each<[string, typeof clusterTimeMs]>([
  ['stands still', () => 5],
  ['runs too fast', (right) => 2 * right],
  ['begins again with each leader', (_right, electedAt, now) => Math.floor(now - electedAt)],
])('cluster time that %s is found', (_, defect) => {
  clusterTimeMs = defect
  onTestFinished(() => {
    clusterTimeMs = (right) => right
  })
  expect(runSchedule(generate(6, 3)).violation?.invariant).toBe('KV-12')
})
