// The bytes of requests: what is written is read back, and what is read is written as the same bytes.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeRequest, parseRequest, requestKind } from '../../src/kv/codec/request.ts'
import { MalformedBytesError, UnknownKindError } from '../../src/kv/errors.ts'
import type { Command, KeyCommand, Request } from '../../src/kv/types.ts'
import type { Idempotency } from '../../src/operations/forms/index.ts'
import { expectEqual } from '../expect-equal.ts'
import { runs } from '../runs.ts'
import { command, condition, idempotency } from './drawn-requests.ts'
import { ask, bodyOf, hex, rev } from './store.ts'

const request: fc.Arbitrary<Request> = fc
  .tuple(command, idempotency)
  .map(([drawn, of]) => ask(drawn, given(of)))

function given(drawn: typeof idempotency extends fc.Arbitrary<infer T> ? T : never): Idempotency | undefined {
  if (drawn === undefined || 'session' in drawn) return drawn
  const { token, behind } = drawn
  return { token, since: behind === undefined ? undefined : rev(behind + 2) }
}

test('a request is read back as it was written', () => {
  const bytes = fc.uint8Array({ maxLength: 300 })
  const prev = fc.boolean()
  const large: fc.Arbitrary<Command> = fc.record({
    ...{ kind: fc.constant('put' as const), key: bytes, value: bytes, condition, prev },
  })
  const all = fc.oneof(
    request,
    large.map((drawn) => ask(drawn)),
  )
  fc.assert(
    fc.property(all, (drawn) => {
      const { kind, version } = requestKind(drawn)
      expectEqual(decodeRequest(kind, version, bodyOf(drawn)), canonical(drawn))
    }),
    { numRuns: runs(1000) },
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
