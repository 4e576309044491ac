// System calls of a connection to a peer: one for all frames of a turn.

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { expect, onTestFinished, test, vi } from 'vitest'
import { asIndex, asTerm } from '../../../src/raft/types.ts'
import { LINK_LIMITS, newCounters } from '../../../src/server/peers/index.ts'
import { Connection } from '../../../src/server/peers/tcp/connection.ts'
import type { Frame } from '../../../src/server/peers/wires.ts'
import { entryOf, from, to } from '../peers/tcp/messages.ts'

async function connected(): Promise<{ connection: Connection; socket: Socket }> {
  const server = createServer((other) => other.resume())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not bound')
  const socket = connect(address.port, '127.0.0.1')
  await once(socket, 'connect')
  const connection = new Connection(socket, LINK_LIMITS, newCounters(), true)
  onTestFinished(() => {
    connection.close('the test is over')
    server.close()
  })
  return { connection, socket }
}

/** An append of entries this long. Long ones are not copied: the frame is in several pieces then. */
function append(lengths: readonly number[]): Frame {
  const entries = lengths.map((length, at) => entryOf(length, 1, at + 1))
  const [prevIndex, prevTerm, commit] = [asIndex(0), asTerm(1), asIndex(0)]
  return { type: 'append', from, to, term: asTerm(1), prevIndex, prevTerm, entries, commit, round: 1 }
}

test.each([
  { what: 'one frame', frames: [append([300])] },
  { what: 'many small frames', frames: Array.from({ length: 20 }, () => append([300])) },
  { what: 'one long entry', frames: [append([20_000])] },
  { what: 'long and short entries', frames: [append([300, 20_000, 300, 20_000]), append([300])] },
])('the frames of a turn leave in one write: $what', async ({ frames }) => {
  const { connection, socket } = await connected()
  const writes = [vi.spyOn(socket, '_write'), vi.spyOn(socket, '_writev' as '_write')]
  const count = (): number => writes.reduce((sum, spy) => sum + spy.mock.calls.length, 0)
  for (let round = 1; round <= 3; round++) {
    for (const frame of frames) connection.send(frame)
    expect(count()).toBe(round - 1)
    while (connection.queuedFrames > 0) await turn()
    expect(count()).toBe(round)
  }
})
