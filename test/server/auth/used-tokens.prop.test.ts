// Tokens, how long they live by their use, and how many of them are remembered.

import fc from 'fast-check'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { AuthState } from '../../../src/kv/index.ts'
import { signAuthToken } from '../../../src/server/auth/auth-tokens.ts'
import { UsedToken, UsedTokens } from '../../../src/server/auth/used-tokens.ts'
import { runs } from '../../runs.ts'

const LIFE_MS = 1_000
const KEY = Buffer.alloc(32, 1)

const stateOf = (epochs: Readonly<Record<string, number>>, tokenKey: Uint8Array = KEY): AuthState =>
  ({
    keys: { tokenKey },
    users: new Map(Object.entries(epochs).map(([name, epoch]) => [name, { epoch }])),
  }) as unknown as AuthState

const sign = (user: string, epoch: number, endsAt: number): string =>
  signAuthToken({ user, epoch, endsAt }, KEY)

function timeStandsStill(): (ms: number) => void {
  let now = Date.now()
  const clock = vi.spyOn(Date, 'now').mockImplementation(() => now)
  onTestFinished(() => clock.mockRestore())
  return (ms) => {
    now += ms
  }
}

/** The clock by which tokens are ordered. */
function clockStandsStill(): (ms: number) => void {
  let now = performance.now()
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now)
  onTestFinished(() => clock.mockRestore())
  return (ms) => {
    now += ms
  }
}

const action = fc.oneof(
  fc.record({ kind: fc.constant('use' as const) }),
  fc.record({ kind: fc.constant('hold' as const) }),
  fc.record({ kind: fc.constant('release' as const) }),
  fc.record({ kind: fc.constant('rest' as const), ms: fc.integer({ min: 1, max: 2 * LIFE_MS }) }),
  fc.record({ kind: fc.constant('new epoch' as const) }),
  fc.record({ kind: fc.constant('snapshot' as const) }),
)

test('a token is valid until a life after its last use, or its last watch, and never after a new epoch', () => {
  const rest = timeStandsStill()
  fc.assert(
    fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
      const tokens = new UsedTokens(LIFE_MS)
      const from = Date.now()
      const text = sign('bob', 1, from + LIFE_MS)
      let state = stateOf({ bob: 1 })
      let endsAt = from + LIFE_MS
      let isVoid = false
      let token: UsedToken | undefined
      const holds: (() => void)[] = []
      for (const each of actions) {
        const lives = !isVoid && (holds.length > 0 || endsAt > Date.now())
        if (each.kind === 'rest') rest(each.ms)
        else if (each.kind === 'new epoch') {
          state = stateOf({ bob: 2 })
          isVoid = true
        } else if (each.kind === 'snapshot') state = stateOf({ bob: isVoid ? 2 : 1 }, Buffer.from(KEY))
        else if (each.kind === 'release') {
          const release = holds.pop()
          release?.()
          release?.()
          if (release !== undefined) endsAt = Date.now() + LIFE_MS
        } else {
          const used = tokens.use(text, state)
          expect(used instanceof UsedToken).toBe(lives)
          if (!(used instanceof UsedToken)) continue
          expect(used).toBe(token ?? used)
          token = used
          endsAt = Date.now() + LIFE_MS
          if (each.kind === 'hold') holds.push(used.hold())
        }
      }
    }),
    { numRuns: runs(400) },
  )
})

test('another key ends all tokens, those that are known too', () => {
  timeStandsStill()
  const tokens = new UsedTokens(LIFE_MS)
  const text = sign('bob', 1, Date.now() + LIFE_MS)
  expect(tokens.use(text, stateOf({ bob: 1 }))).toBeInstanceOf(UsedToken)
  expect(tokens.use(text, stateOf({ bob: 1 }, Buffer.alloc(32, 2)))).toHaveProperty('fault')
  expect(tokens.size).toBe(0)
})

test('a user with many tokens takes the place of no token of another user, and keeps those of the last uses', () => {
  const [rest, restOnClock] = [timeStandsStill(), clockStandsStill()]
  const tokens = new UsedTokens(LIFE_MS)
  const state = stateOf({ bob: 1, eve: 1 })
  const from = Date.now()
  const isKnown = (text: string): boolean => tokens.use(text, state) instanceof UsedToken
  const ofBob = sign('bob', 1, from + LIFE_MS)
  const [first, second, ...many] = Array.from({ length: 10_100 }, (_, at) =>
    sign('eve', 1, from + LIFE_MS + (at < 2 ? at : LIFE_MS + at)),
  )
  if (first === undefined || second === undefined) expect.fail()
  const old = [ofBob, first, second]
  expect(old.map(isKnown)).toEqual([true, true, true])
  // Beyond the time that is signed in it, a token lives only where its use is remembered.
  rest(LIFE_MS - 1)
  restOnClock(LIFE_MS - 1)
  expect(old.map(isKnown)).toEqual([true, true, true])
  for (const each of many.slice(0, 9_997)) expect(isKnown(each)).toBe(true)
  rest(2)
  restOnClock(10_000)
  expect(isKnown(first)).toBe(true)
  for (const each of many.slice(9_997)) expect(isKnown(each)).toBe(true)
  expect(tokens.size).toBe(10_000)
  expect([ofBob, first, second].map(isKnown)).toEqual([true, true, false])
})

test('a use shortens no token of a node where tokens live longer', () => {
  const rest = timeStandsStill()
  const tokens = new UsedTokens(LIFE_MS)
  const state = stateOf({ bob: 1 })
  const text = sign('bob', 1, Date.now() + 10 * LIFE_MS)
  let token: UsedToken | undefined
  for (const ms of [0, 2 * LIFE_MS, 7 * LIFE_MS, LIFE_MS - 1, LIFE_MS - 1]) {
    rest(ms)
    const used = tokens.use(text, state)
    if (!(used instanceof UsedToken)) expect.fail()
    // The client of an open connection shows it no second time.
    token ??= used
    expect(token.isOver).toBe(false)
  }
  rest(LIFE_MS)
  expect(tokens.use(text, state)).toHaveProperty('fault')
})

test('a false or a void token is not remembered', () => {
  timeStandsStill()
  const tokens = new UsedTokens(LIFE_MS)
  const state = stateOf({ bob: 2 })
  for (const text of ['', 'q1.x.y', sign('bob', 1, Date.now() + LIFE_MS), sign('bob', 2, Date.now())])
    expect(tokens.use(text, state)).toHaveProperty('fault')
  expect(tokens.size).toBe(0)
})
