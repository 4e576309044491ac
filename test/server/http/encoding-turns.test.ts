// Bodies that are encoded in several turns share the time of each turn, however many they are.

import { expect, test, vi } from 'vitest'
import { TurnQueue } from '../../../src/server/api/turn-queue.ts'
import { encodeBody, type HttpResponse } from '../../../src/server/http/messages.ts'

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve))

test.each([1, 8, 32])(
  '%i large bodies that are encoded at once share the time of each turn',
  async (count) => {
    let now = 0
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => now)
    // A record takes a millisecond.
    function* parts(): Iterable<string> {
      for (let record = 0; record < 32; record++) {
        now += 1
        yield 'x'.repeat(64 * 1024)
      }
    }
    const turns = new TurnQueue()
    const done: HttpResponse[] = []
    let longest = 0
    await nextTurn()
    for (let i = 0; i < count; i++) {
      const response = { status: 200, headers: [], body: { parts: parts() }, revision: undefined }
      encodeBody(
        response,
        turns,
        (encoded) => done.push(encoded),
        (error) => expect.unreachable(String(error)),
      )
      // Requests come in turns of their own.
      await nextTurn()
    }
    while (done.length < count) {
      const before = now
      await nextTurn()
      longest = Math.max(longest, now - before)
    }
    clock.mockRestore()
    expect(longest).toBeLessThan(20)
  },
)
