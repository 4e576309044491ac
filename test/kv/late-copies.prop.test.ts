// Copies of requests that arrive late, whatever was forgotten in between. No request is applied twice, and the answer
// "nothing was written" stays true.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Command, Outcome, Request } from '../../src/kv/types.ts'
import { TABLE_VERSIONS } from '../../src/kv/types.ts'
import type { Condition, KvSettings } from '../../src/operations/forms/index.ts'
import { expectEqual } from '../expect-equal.ts'
import { runs } from '../runs.ts'
import { type AppliedHere, ask, batchOf, deleteOf, MemoryStore, putOf, rev } from './store.ts'

/** The settings decide which requests are refused, and how soon tokens are forgotten. */
const settings: fc.Arbitrary<Partial<KvSettings>> = fc.record(
  {
    valueBytesMax: fc.nat({ max: 3 }),
    storeBytesMax: fc.nat({ max: 8 }),
    idempotencyTokensMax: fc.integer({ min: 1, max: 4 }),
  },
  { requiredKeys: [] },
)
const revisions = fc.array(fc.integer({ min: 1, max: 8 }).map(rev), { maxLength: 2 })
const tags = fc.oneof(fc.constant('any' as const), revisions)
const condition: fc.Arbitrary<Partial<Condition> | undefined> = fc.option(
  fc.oneof(fc.record({ ifMatch: tags }), fc.record({ ifNoneMatch: tags })),
  { nil: undefined },
)
const key = fc.constantFrom('a', 'b')
const value = fc.constantFrom('', '1', '22', '333')
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(key, value, condition).map((drawn) => putOf(...drawn)) },
  { weight: 3, arbitrary: fc.tuple(key, condition).map((drawn) => deleteOf(...drawn)) },
  { weight: 2, arbitrary: settings.map((settings) => ({ kind: 'settings' as const, settings })) },
)

type Event =
  /** `behind`: how many revisions the client's last known revision is behind the store's. */
  | { readonly kind: 'first'; readonly command: Command; readonly behind: number }
  | { readonly kind: 'unkeyed'; readonly command: Command }
  /** A copy of one of the first tries so far. */
  | { readonly kind: 'copy'; readonly of: number }

const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('first' as const),
      command,
      behind: fc.oneof(fc.constant(0), fc.nat({ max: 3 })),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('unkeyed' as const), command }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('copy' as const), of: fc.nat() }) },
)
const events = fc.array(event, { maxLength: 40 })

/** A step of a client with a session. It uses two slots, and reopens a session that is forgotten. */
type Step =
  /** A new request in a slot, after a gap in the numbers. */
  | { readonly kind: 'next'; readonly slot: 0 | 1; readonly gap: number; readonly command: Command }
  | { readonly kind: 'unkeyed'; readonly command: Command }
  | { readonly kind: 'copy'; readonly of: number }
  | { readonly kind: 'open' }
  | { readonly kind: 'wait'; readonly ms: number }

const keyCommand = fc.oneof(
  fc.tuple(key, value, condition).map((drawn) => putOf(...drawn)),
  fc.tuple(key, condition).map((drawn) => deleteOf(...drawn)),
)
const commandInSession: fc.Arbitrary<Command> = fc.oneof(
  { weight: 4, arbitrary: command },
  { weight: 2, arbitrary: fc.array(keyCommand, { maxLength: 4 }).map((drawn) => batchOf(...drawn)) },
  { weight: 1, arbitrary: fc.constant<Command>({ kind: 'open-session' }) },
)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('next' as const),
      slot: fc.constantFrom(0 as const, 1 as const),
      gap: fc.nat({ max: 2 }),
      command: commandInSession,
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('unkeyed' as const), command: commandInSession }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('copy' as const), of: fc.nat() }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'open' as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.nat({ max: 600 }) }) },
)

const codeOf = (outcome: Outcome): string => (outcome.kind === 'refused' ? outcome.code : outcome.kind)

/** Asserts that no user's key and no setting changed: a client would notice only those. */
function changesNothing({ changes, state }: AppliedHere, before: MemoryStore['state']): void {
  expect(changes.some(({ key }) => key[0] === TABLE_VERSIONS)).toBe(false)
  expectEqual(state.settings, before.settings)
  expect(state.clientSessions.next).toBe(before.clientSessions.next)
  expect(state.revision).toBe(before.revision)
}

test('a late copy of a token with its since changes nothing and contradicts no answer', () => {
  fc.assert(
    fc.property(settings, events, (initial, drawn) => {
      const store = new MemoryStore({ idempotencyTokensMax: 2, ...initial })
      const sent: { readonly request: Request; readonly outcome: Outcome }[] = []
      for (const event of drawn) {
        if (event.kind === 'unkeyed') {
          store.apply(ask(event.command))
        } else if (event.kind === 'first') {
          const { revision } = store.state
          const since = rev(Math.max(1, revision - event.behind))
          const request = ask(event.command, { token: `token ${sent.length}`, since })
          const { outcome } = store.apply(request)
          // A request with the newest revision as since is never refused as expired, whatever was forgotten.
          if (event.behind === 0) expect(codeOf(outcome)).not.toBe('idempotency_expired')
          sent.push({ request, outcome })
        } else {
          const first = sent[event.of % Math.max(sent.length, 1)]
          if (first === undefined) continue
          const before = store.state
          const applied = store.apply(first.request)
          changesNothing(applied, before)
          // The answer that was given before, or a refusal because it was forgotten.
          if (codeOf(applied.outcome) !== 'idempotency_expired') expectEqual(applied.outcome, first.outcome)
        }
      }
    }),
    { numRuns: runs(3000) },
  )
})

test('a late copy of a change in a session changes nothing and contradicts no answer', () => {
  fc.assert(
    fc.property(settings, fc.array(step, { maxLength: 50 }), (initial, drawn) => {
      const store = new MemoryStore({ ...initial, idempotencyAgeMsMax: 1000 })
      const sent: { readonly request: Request; readonly outcome: Outcome; readonly newest: () => boolean }[] =
        []
      let now = 0
      let session = 0
      let numbers = [0, 0]
      const open = (): void => {
        const { outcome } = store.apply(ask({ kind: 'open-session' }), now)
        if (outcome.kind !== 'session') throw new Error(`opening a session is answered with ${outcome.kind}`)
        session = outcome.session
        numbers = [0, 0]
      }
      open()
      for (const step of drawn) {
        if (step.kind === 'open') open()
        else if (step.kind === 'wait') now += step.ms
        else if (step.kind === 'unkeyed') store.apply(ask(step.command), now)
        else if (step.kind === 'next') {
          const { slot } = step
          const seq = (numbers[slot] ?? 0) + 1 + step.gap
          const request = ask(step.command, { session, slot, seq })
          const { outcome, replayed } = store.apply(request, now)
          expect(replayed).toBe(false)
          if (outcome.kind === 'refused' && outcome.reason === 'session-expired') open()
          else {
            numbers[slot] = seq
            const opened = session
            sent.push({ request, outcome, newest: () => session === opened && numbers[slot] === seq })
          }
        } else {
          const first = sent[step.of % Math.max(sent.length, 1)]
          if (first === undefined) continue
          const before = store.state
          const isOpen = before.clientSessions.horizon <= session
          const applied = store.apply(first.request, now)
          changesNothing(applied, before)
          // The outcome that its client may still need is remembered.
          if (isOpen && first.newest()) expect(applied.replayed).toBe(true)
          if (codeOf(applied.outcome) !== 'idempotency_expired') expectEqual(applied.outcome, first.outcome)
        }
      }
    }),
    { numRuns: runs(3000) },
  )
})
