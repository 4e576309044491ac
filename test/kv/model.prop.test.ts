// The state machine against a model that is simple enough to check by reading it: a map of keys and a list of
// remembered requests.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { MalformedBytesError, UnknownKindError } from '../../src/kv/errors.ts'
import { decodeRequest, requestKind } from '../../src/kv/request.ts'
import { decodeState, encodeState } from '../../src/kv/state.ts'
import type { Command, Condition, KeyRow, Outcome, Request, Revision } from '../../src/kv/types.ts'
import { runs } from '../runs.ts'
import { ask, bodyOf, hex, MemoryStore, rev, utf8 } from './store.ts'

const SETTINGS = {
  keyBytesMax: 3,
  valueBytesMax: 6,
  storeBytesMax: 20,
  idempotencyTokensMax: 3,
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
)
const idempotency = fc.option(
  fc.record({
    token: fc.constantFrom('t1', 't2', 't3', 't4'),
    since: fc.option(revisions, { nil: undefined }),
  }),
  { nil: undefined },
)
const request: fc.Arbitrary<Request> = fc.record({
  command,
  idempotency,
  principal: fc.constantFrom('', 'me'),
})
const log = fc.array(fc.record({ request, elapsedMs: fc.integer({ min: 0, max: 400 }) }), { maxLength: 40 })

test('outcomes, keys and counters are those of the model', () => {
  fc.assert(
    fc.property(log, (entries) => {
      const store = new MemoryStore(SETTINGS)
      const model = new Model()
      let now = 0
      for (const { request, elapsedMs } of entries) {
        now += elapsedMs
        const { outcome, replayed } = store.apply(request, now)
        expect({ outcome: withoutReason(outcome), replayed }).toEqual(model.apply(request, now))
        expect(store.state).toMatchObject({
          revision: model.revision,
          keys: model.keys.size,
          storeBytes: model.bytes(),
          tokens: { count: model.memory.length, horizon: model.horizon },
        })
        for (const name of ['a', 'b', 'cc']) expect(store.get(name)).toEqual(model.keys.get(name))
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
        expect(other.apply(request, i + elapsedMs)).toEqual(one.apply(request, i + elapsedMs))
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
      expect(decodeRequest(kind, version, bodyOf(request))).toEqual(canonical(request))
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
    fc.property(fc.constantFrom(16, 17, 18), bodies, (kind, drawn) => {
      const body = Uint8Array.from(drawn)
      let request: Request
      try {
        request = decodeRequest(kind, 1, body)
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
  if (!('key' in command)) return request
  const empty = command.condition?.ifMatch === undefined && command.condition?.ifNoneMatch === undefined
  return { ...request, command: empty ? { ...command, condition: undefined } : command }
}

class Model {
  revision: Revision = rev(1)
  readonly keys = new Map<string, KeyRow>()
  storeBytesMax = SETTINGS.storeBytesMax
  memory: { token: string; asked: string; outcome: Outcome; at: number }[] = []
  horizon: Revision = rev(0)

  apply(request: Request, now: number): { outcome: Outcome; replayed: boolean } {
    const { command, idempotency, principal } = request
    if (idempotency !== undefined && !('token' in idempotency)) throw new Error('no sessions are drawn here')
    const answered = { outcome: this.#decide(request), replayed: false }
    const asked = JSON.stringify([canonical(request).command, principal])
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
        this.#forget(now, 1)
        this.memory.push({ token: idempotency.token, asked, outcome, at: now })
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
    if (!('key' in command)) throw new Error(`no ${command.kind} is drawn here`)
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
    this.keys.set(name, { key, value: command.value, ...meta })
    return { kind: 'put', revision, ...meta, prev }
  }

  #forget(now: number, incoming: number): void {
    const stays = ({ at }: { at: number }, i: number) =>
      now - at <= SETTINGS.idempotencyAgeMsMax &&
      this.memory.length + incoming - i <= SETTINGS.idempotencyTokensMax
    while (this.memory[0] !== undefined && !stays(this.memory[0], 0)) {
      this.horizon = rev(Math.max(this.horizon, this.memory[0].outcome.revision))
      this.memory.shift()
    }
  }

  /** At the horizon only if the store's revision is newer. */
  #mayBeForgotten(since: Revision): boolean {
    return since <= this.horizon && !(since === this.horizon && since === this.revision)
  }

  #refuse(code: Extract<Outcome, { kind: 'refused' }>['code']): Outcome {
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

const withoutReason = (outcome: Outcome): Outcome =>
  outcome.kind === 'refused' ? { ...outcome, reason: 'empty-key', numbers: [0, 0] } : outcome
