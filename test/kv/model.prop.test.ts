// The state machine against a model that is simple enough to check by reading it: a map of keys and a list of
// remembered requests.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeRequest, parseRequest, requestKind } from '../../src/kv/codec/request.ts'
import { decodeState, encodeState } from '../../src/kv/codec/state.ts'
import { MalformedBytesError, UnknownKindError } from '../../src/kv/errors.ts'
import type { Command, KeyCommand, Outcome, OutcomeOfKey, Rejection, Request } from '../../src/kv/types.ts'
import type {
  Condition,
  Idempotency,
  KeyRow,
  Revision,
  SessionSlot,
} from '../../src/operations/forms/index.ts'
import type { BatchedCommand } from '../../src/operations/index.ts'
import { expectEqual } from '../expect-equal.ts'
import { runs } from '../runs.ts'
import { ask, bodyOf, hex, MemoryStore, rev, utf8 } from './store.ts'

const SETTINGS = {
  keyBytesMax: 3,
  valueBytesMax: 6,
  storeBytesMax: 20,
  idempotencyTokensMax: 3,
  idempotencyBytesMax: 4096,
  idempotencyAgeMsMax: 1000,
}

const revisions = fc.integer({ min: 1, max: 12 }).map(rev)
const tags = fc.oneof(fc.constant('any' as const), fc.array(revisions, { maxLength: 3 }))
const condition: fc.Arbitrary<Condition | undefined> = fc.option(
  fc.record({
    ifMatch: fc.option(tags, { nil: undefined }),
    ifNoneMatch: fc.option(tags, { nil: undefined }),
  }),
  { nil: undefined, freq: 2 },
)
const key = fc.constantFrom('', 'a', 'b', 'cc', 'long').map(utf8)
const value = fc.constantFrom('', 'v', 'value', 'too long').map(utf8)
const prev = fc.boolean()
const batched: fc.Arbitrary<BatchedCommand> = fc.oneof(
  fc.record({ kind: fc.constant('put' as const), key, value, condition, prev: fc.constant(false as const) }),
  fc.record({ kind: fc.constant('delete' as const), key, condition, prev: fc.constant(false as const) }),
)
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('put' as const), key, value, condition, prev }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('delete' as const), key, condition, prev }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('settings' as const),
      settings: fc.record({ storeBytesMax: fc.integer({ min: 0, max: 25 }) }, { requiredKeys: [] }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('batch' as const),
      commands: fc.oneof(
        { weight: 4, arbitrary: fc.array(batched, { maxLength: 5 }) },
        // Its outcome fills a third of the room for sessions.
        { weight: 1, arbitrary: batched.map((command) => Array.from({ length: 50 }, () => command)) },
      ),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'open-session' as const }) },
)
const idempotency: fc.Arbitrary<Idempotency | undefined> = fc.option(
  fc.oneof(
    fc.record({
      token: fc.constantFrom('t1', 't2', 't3', 't4'),
      since: fc.option(revisions, { nil: undefined }),
    }),
    fc.record({
      session: fc.nat({ max: 4 }),
      slot: fc.constantFrom(0, 1, 40, 4095, 4096),
      seq: fc.nat({ max: 6 }),
    }),
  ),
  { nil: undefined },
)
const request: fc.Arbitrary<Request> = fc.record({
  command,
  idempotency,
  principal: fc.constantFrom('', 'me'),
})
const log = fc.array(fc.record({ request, elapsedMs: fc.integer({ min: 0, max: 200 }) }), { maxLength: 40 })

test('outcomes, keys and counters are those of the model', () => {
  fc.assert(
    fc.property(log, (entries) => {
      const store = new MemoryStore(SETTINGS)
      const model = new Model()
      let now = 0
      for (const { request, elapsedMs } of entries) {
        now += elapsedMs
        const { outcome, replayed } = store.apply(request, now)
        expectEqual({ outcome: withoutReason(outcome), replayed }, model.apply(request, now))
        const {
          revision,
          keys,
          storeBytes,
          idempotencyTokens: tokens,
          clientSessions: sessions,
        } = store.state
        expectEqual(
          [revision, keys, storeBytes, tokens.count, tokens.horizon],
          [model.revision, model.keys.size, model.bytes(), model.memory.length, model.horizon],
        )
        expectEqual(
          [sessions.next, sessions.horizon, sessions.bytes],
          [model.nextSession, model.sessionHorizon, model.slotBytes()],
        )
        const bytes = (...tables: string[]) =>
          [...store.rows]
            .filter(([key]) => tables.includes(key.slice(0, 2)))
            .reduce((sum, [key, row]) => sum + key.length / 2 + row.length, 0)
        expect(bytes('02', '03')).toBe(store.state.idempotencyTokens.bytes)
        expect(bytes('05')).toBe(store.state.clientSessions.bytes)
        for (const name of ['a', 'b', 'cc']) expectEqual(store.get(name), model.keys.get(name))
      }
    }),
    { numRuns: runs(1500) },
  )
})

test('the same log leaves the same bytes, from the start or from any registers in between', () => {
  fc.assert(
    fc.property(log, fc.nat(40), (entries, restartAt) => {
      const [one, other] = [new MemoryStore(SETTINGS), new MemoryStore(SETTINGS)]
      for (const [i, { request, elapsedMs }] of entries.entries()) {
        if (i === restartAt) other.state = decodeState(encodeState(other.state))
        expectEqual(other.apply(request, i + elapsedMs), one.apply(request, i + elapsedMs))
      }
      expect([...other.rows].map(([k, row]) => [k, hex(row)])).toEqual(
        [...one.rows].map(([k, row]) => [k, hex(row)]),
      )
      expect(hex(encodeState(other.state))).toBe(hex(encodeState(one.state)))
    }),
    { numRuns: runs(300) },
  )
})

test('a request is read back as it was written', () => {
  const bytes = fc.uint8Array({ maxLength: 300 })
  const anyCommand = fc.oneof(
    command,
    fc.record({ kind: fc.constant('put' as const), key: bytes, value: bytes, condition, prev }),
  )
  fc.assert(
    fc.property(anyCommand, idempotency, (command, idempotency) => {
      const request = ask(command, idempotency)
      const { kind, version } = requestKind(request)
      expectEqual(decodeRequest(kind, version, bodyOf(request)), canonical(request))
    }),
    { numRuns: runs(500) },
  )
})

test('bytes that are read as a request are written as the same bytes', () => {
  // Flags, lengths and ids are small, so that valid bodies are common.
  const byte = fc.oneof({ weight: 3, arbitrary: fc.nat(4) }, fc.nat(255))
  const bodies = fc.oneof(
    fc.array(byte, { maxLength: 30 }),
    fc
      .tuple(request.map(bodyOf), fc.nat(), byte, fc.array(byte, { maxLength: 2 }))
      .map(([body, at, byte, more]) => [...body.with(at % body.length, byte), ...more]),
  )
  fc.assert(
    fc.property(fc.constantFrom(16, 17, 18, 19, 20), bodies, (kind, drawn) => {
      const body = Uint8Array.from(drawn)
      let request: Request
      try {
        request = decodeRequest(kind, 1, body)
        // Only the node that encodes a request calculates its fingerprint.
        const { print } = parseRequest(kind, 1, body)
        print.set(parseRequest(kind, 1, bodyOf(request)).print)
      } catch (error) {
        const known = error instanceof MalformedBytesError || error instanceof UnknownKindError
        if (!known) throw error
        return
      }
      expect(hex(bodyOf(request))).toBe(hex(body))
    }),
    { numRuns: runs(10_000) },
  )
})

/** An empty condition is the same as no condition. */
function canonical(request: Request): Request {
  const { command } = request
  if (command.kind === 'batch')
    return { ...request, command: { ...command, commands: command.commands.map(plain) } }
  return 'key' in command ? { ...request, command: plain(command) } : request
}

function plain<C extends KeyCommand>(command: C): C {
  const { ifMatch, ifNoneMatch } = command.condition ?? { ifMatch: undefined, ifNoneMatch: undefined }
  return ifMatch === undefined && ifNoneMatch === undefined ? { ...command, condition: undefined } : command
}

interface ModelSession {
  readonly openedAtMs: number
  readonly slots: Map<number, { seq: number; asked: string; outcome: Outcome; bytes: number }>
}

class Model {
  revision: Revision = rev(1)
  readonly keys = new Map<string, KeyRow>()
  storeBytesMax = SETTINGS.storeBytesMax
  memory: { token: string; asked: string; outcome: Outcome; at: number; bytes: number }[] = []
  horizon: Revision = rev(0)
  /** The sessions by number. Forgotten ones stay until their rows are deleted. */
  readonly sessions = new Map<number, ModelSession>()
  nextSession = 1
  sessionHorizon = 1

  apply(request: Request, now: number): { outcome: Outcome; replayed: boolean } {
    this.#now = now
    const answer = this.#answer(request, now)
    this.#forgetSessions()
    return answer
  }

  #now = 0

  slotBytes(): number {
    const rows = [...this.sessions.values()].flatMap(({ slots }) => [...slots.values()])
    return rows.reduce((sum, { bytes }) => sum + bytes, 0)
  }

  #inSession(request: Request, { session, slot, seq }: SessionSlot): { outcome: Outcome; replayed: boolean } {
    const { command } = request
    const isNew = (outcome: Outcome) => ({ outcome, replayed: false })
    if ('key' in command && command.prev) return isNew(this.#refuse('bad_request'))
    const open = session < this.sessionHorizon ? undefined : this.sessions.get(session)
    if (open === undefined) return isNew(this.#refuse('idempotency_expired'))
    if (slot > 4095) return isNew(this.#refuse('bad_request'))
    const asked = JSON.stringify(canonical(request).command)
    const known = open.slots.get(slot)
    if (known?.seq === seq)
      return known.asked === asked
        ? { outcome: known.outcome, replayed: true }
        : isNew(this.#refuse('idempotency_key_reused'))
    if (known !== undefined && seq < known.seq) return isNew(this.#refuse('idempotency_expired'))
    const outcome = this.#execute(command)
    open.slots.set(slot, { seq, asked, outcome, bytes: 11 + 22 + bytesOf(outcome) })
    return isNew(outcome)
  }

  /** One step for each session, and for each slot up to the highest that it has used; eight for a slot with a row. */
  #forgetSessions(): void {
    let steps = 2056
    for (const [number, { openedAtMs, slots }] of this.sessions) {
      if (number >= this.sessionHorizon) {
        const isDue =
          this.slotBytes() > SETTINGS.idempotencyBytesMax ||
          this.#now - openedAtMs > SETTINGS.idempotencyAgeMsMax
        if (!isDue || steps <= 0) return
        this.sessionHorizon = number + 1
        this.#slotsLeft = Math.max(-1, ...slots.keys()) + 1
        steps--
      }
      while (this.#slotsLeft > 0 && steps > 0) steps -= slots.delete(--this.#slotsLeft) ? 8 : 1
      if (this.#slotsLeft > 0) return
      this.sessions.delete(number)
    }
  }

  #slotsLeft = 0

  #answer(request: Request, now: number): { outcome: Outcome; replayed: boolean } {
    const { command, idempotency } = request
    if (idempotency !== undefined && 'session' in idempotency) {
      const answer = this.#inSession(request, idempotency)
      this.#forget(now, 0)
      return answer
    }
    const answered = { outcome: this.#decide(request), replayed: false }
    const asked = JSON.stringify(canonical(request).command)
    if (idempotency !== undefined && answered.outcome === REMEMBERED) {
      const known = this.memory.find(({ token }) => token === idempotency.token)
      if (known?.asked === asked) {
        this.#forget(now, 0)
        return { outcome: known.outcome, replayed: true }
      }
      if (known !== undefined) answered.outcome = this.#refuse('idempotency_key_reused')
      else if (idempotency.since !== undefined && this.#mayBeForgotten(idempotency.since))
        answered.outcome = this.#refuse('idempotency_expired')
      else {
        const isAhead = (idempotency.since ?? 0) > this.revision
        const outcome = isAhead ? this.#refuse('bad_request') : this.#execute(command)
        const { token } = idempotency
        const bytes = 1 + token.length + 28 + bytesOf(outcome) + 1 + 8 + 28 + token.length
        this.#forget(now, bytes)
        this.memory.push({ token, asked, outcome, at: now, bytes })
        return { outcome, replayed: false }
      }
    }
    this.#forget(now, 0)
    return answered
  }

  bytes(): number {
    return [...this.keys.values()].reduce((sum, row) => sum + row.key.length + row.value.length, 0)
  }

  #decide({ command, idempotency }: Request): Outcome {
    if (idempotency === undefined) return this.#execute(command)
    return 'key' in command && command.prev ? this.#refuse('bad_request') : REMEMBERED
  }

  #execute(command: Command): Outcome {
    if (command.kind === 'settings') {
      const { storeBytesMax = this.storeBytesMax } = command.settings
      if (storeBytesMax !== this.storeBytesMax) this.revision = rev(this.revision + 1)
      this.storeBytesMax = storeBytesMax
      const settings = { ...new MemoryStore(SETTINGS).state.settings, storeBytesMax: this.storeBytesMax }
      return { kind: 'settings', revision: this.revision, settings }
    }
    if (command.kind === 'open-session') {
      const session = this.nextSession++
      this.sessions.set(session, { openedAtMs: this.#now, slots: new Map() })
      return { kind: 'session', revision: this.revision, session, ageMsMax: SETTINGS.idempotencyAgeMsMax }
    }
    if (command.kind === 'batch') {
      const outcomes = command.commands.map((each) => this.#executeOnKey(each))
      return { kind: 'batch', revision: this.revision, outcomes }
    }
    if (!('key' in command)) throw new Error(`${command.kind} is not in this model`)
    return this.#executeOnKey(command)
  }

  #executeOnKey(command: KeyCommand): OutcomeOfKey {
    const { key, condition } = command
    const name = Buffer.from(key).toString()
    if (name === '') return this.#refuse('bad_request')
    if (name.length > SETTINGS.keyBytesMax) return this.#refuse('key_too_long')
    if (command.kind === 'put' && command.value.length > SETTINGS.valueBytesMax)
      return this.#refuse('value_too_large')
    const current = this.keys.get(name)
    if (!holds(condition, current?.modRevision)) {
      if (current === undefined)
        return { kind: 'precondition-failed', revision: this.revision, current: null }
      const { value: _, ...meta } = current
      return { kind: 'precondition-failed', revision: this.revision, current: meta }
    }
    const prev = command.prev ? (current ?? null) : undefined
    if (command.kind === 'delete') {
      if (current !== undefined) this.revision = rev(this.revision + 1)
      this.keys.delete(name)
      return { kind: 'delete', deleted: current === undefined ? 0 : 1, revision: this.revision, prev }
    }
    const growth = command.value.length - (current?.value.length ?? -key.length)
    if (growth > 0 && this.bytes() + growth > this.storeBytesMax) return this.#refuse('storage_full')
    const revision = rev(this.revision + 1)
    const meta = {
      createRevision: current?.createRevision ?? revision,
      modRevision: revision,
      version: (current?.version ?? 0) + 1,
    }
    this.revision = revision
    this.keys.set(name, { key, value: command.value, ...meta, lease: undefined })
    return { kind: 'put', revision, ...meta, prev }
  }

  #forget(now: number, incoming: number): void {
    const stays = ({ at }: { at: number }, i: number) =>
      now - at <= SETTINGS.idempotencyAgeMsMax &&
      this.memory.length + (incoming > 0 ? 1 : 0) - i <= SETTINGS.idempotencyTokensMax &&
      this.memory.reduce((sum, { bytes }) => sum + bytes, incoming) <= SETTINGS.idempotencyBytesMax
    while (this.memory[0] !== undefined && !stays(this.memory[0], 0)) {
      this.horizon = rev(Math.max(this.horizon, this.memory[0].outcome.revision))
      this.memory.shift()
    }
  }

  /** At the horizon, the token may be forgotten only if the store's revision is newer. */
  #mayBeForgotten(since: Revision): boolean {
    return since <= this.horizon && !(since === this.horizon && since === this.revision)
  }

  #refuse(code: Rejection['code']): Rejection {
    return { kind: 'refused', revision: this.revision, code, reason: 'empty-key', numbers: [0, 0] }
  }
}

/** Stands for "look it up in the remembered outcomes". */
const REMEMBERED: Outcome = {
  kind: 'refused',
  revision: rev(0),
  code: 'bad_request',
  reason: 'empty-key',
  numbers: [0, 0],
}

function holds(
  { ifMatch, ifNoneMatch }: Condition = { ifMatch: undefined, ifNoneMatch: undefined },
  mod?: Revision,
): boolean {
  const among = (tags: 'any' | readonly Revision[]) =>
    mod !== undefined && (tags === 'any' || tags.includes(mod))
  return (ifMatch === undefined || among(ifMatch)) && !(ifNoneMatch !== undefined && among(ifNoneMatch))
}

function withoutReason(outcome: Outcome): Outcome {
  if (outcome.kind !== 'batch') return reasonless(outcome)
  return { ...outcome, outcomes: outcome.outcomes.map(reasonless) }
}

const reasonless = <O extends Outcome>(outcome: O): O =>
  outcome.kind === 'refused' ? { ...outcome, reason: 'empty-key', numbers: [0, 0] } : outcome

/** The size of a remembered outcome: code and revision, and the layout of its kind. */
function bytesOf(outcome: Outcome): number {
  switch (outcome.kind) {
    case 'put':
      return 9 + 24
    case 'delete':
      return 9 + 1
    case 'precondition-failed':
      return 9 + (outcome.current === null ? 1 : 25)
    case 'settings':
      return 9 + 1 + 14 * 9
    case 'session':
      return 9 + 16
    case 'batch':
      return outcome.outcomes.reduce((sum, each) => sum + bytesOf(each), 9 + 2)
    case 'compacted':
    case 'delete-range':
    case 'txn':
    case 'granted':
    case 'renewed':
    case 'revoked':
    case 'expired':
    case 'auth':
      throw new Error(`${outcome.kind} is not in this model`)
    case 'refused':
      return 9 + 17
  }
}
