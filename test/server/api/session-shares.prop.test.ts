// Shares of users in the sessions of the cluster, while sessions are opened, refused, and forgotten. A session that was
// not opened, or that is forgotten, leaves its place.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { CLIENT_SESSIONS_MAX } from '../../../src/kv/client-sessions.ts'
import { initialState } from '../../../src/kv/index.ts'
import { ApiError } from '../../../src/operations/forms/index.ts'
import { SessionShares } from '../../../src/server/api/session-shares.ts'
import { runs } from '../../runs.ts'

/** A user is opening no more sessions than this at a time. */
const OPENING_MAX = 64
const USERS = ['bob', 'eve', 'root'] as const

const user = fc.constantFrom(...USERS)
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('begin' as const),
      user,
      times: fc.integer({ min: 1, max: 70 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('end' as const),
      user,
      times: fc.integer({ min: 1, max: 70 }),
      isOpened: fc.boolean(),
    }),
  },
  // Other nodes open sessions, and the cluster forgets the oldest.
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('others' as const), count: fc.nat(100) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('forget' as const), count: fc.nat(200) }) },
)

test('a user opens a session exactly while he has fewer than are free, whatever became of those before', () => {
  fc.assert(
    fc.property(fc.nat(200), fc.array(step, { maxLength: 60 }), (free, steps) => {
      const sessions = {
        ...initialState({}).clientSessions,
        next: 1 + CLIENT_SESSIONS_MAX - free,
        horizon: 1,
      }
      const shares = new SessionShares({ clientSessions: sessions })
      const opening = new Map<string, number>(USERS.map((name) => [name, 0]))
      let open: readonly { readonly user: string; readonly session: number }[] = []
      const begin = (name: string): void => {
        const own = open.filter(({ user }) => user === name).length
        const left = CLIENT_SESSIONS_MAX - (sessions.next - sessions.horizon)
        const begun = opening.get(name) ?? 0
        if (begun < OPENING_MAX && begun + own < left) {
          shares.begin(name)
          opening.set(name, begun + 1)
        } else expect(() => shares.begin(name)).toThrow(ApiError)
      }
      const end = (name: string, isOpened: boolean): void => {
        const begun = opening.get(name) ?? 0
        if (begun === 0) return
        opening.set(name, begun - 1)
        const session = isOpened ? sessions.next++ : undefined
        if (session !== undefined) open = [...open, { user: name, session }]
        shares.end(name, session)
      }
      for (const each of steps) {
        if (each.kind === 'others') sessions.next += each.count
        else if (each.kind === 'forget') {
          sessions.horizon = Math.min(sessions.next, sessions.horizon + each.count)
          open = open.filter(({ session }) => session >= sessions.horizon)
        } else
          for (let time = 0; time < each.times; time++)
            if (each.kind === 'begin') begin(each.user)
            else end(each.user, each.isOpened)
      }
    }),
    { numRuns: runs(1_000) },
  )
})
