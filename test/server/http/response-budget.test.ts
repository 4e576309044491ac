// The bytes of unfinished answers that are counted, piece by piece.

import { Writable } from 'node:stream'
import { expect, test } from 'vitest'
import {
  afterDrain,
  byteLength,
  OutboundBudget,
  PIECE_BYTES,
  writeChunked,
} from '../../../src/server/api/budget.ts'

/** Takes a piece when the test calls it. */
class Reader extends Writable {
  readonly pieces: Buffer[] = []
  #taken: ((error?: Error) => void)[] = []

  constructor() {
    super({ highWaterMark: 1 })
    this.on('error', () => {})
  }

  override _write(piece: Buffer, _: unknown, taken: (error?: Error | null) => void): void {
    this.pieces.push(piece)
    this.#taken.push(taken)
  }

  /** The oldest piece that is not taken. */
  async take(error?: Error): Promise<void> {
    this.#taken.shift()?.(error)
    await turn()
  }

  get text(): string {
    return Buffer.concat(this.pieces).toString()
  }
}

const turn = (): Promise<void> => new Promise(setImmediate)

test('there is room for one answer, however large, and for more up to the limit', () => {
  const backlog = new OutboundBudget(10)
  backlog.check(1000)
  backlog.add(4)
  backlog.check(6)
  expect(() => backlog.check(7)).toThrow(expect.objectContaining({ code: 'overloaded' }))
  // Bytes that are reserved already do not count against their owner.
  backlog.check(1000, 4)
  expect(() => backlog.check(1000, 3)).toThrow(expect.objectContaining({ code: 'overloaded' }))
  backlog.remove(4)
  backlog.check(1000)
  expect(() => backlog.remove(1)).toThrow()
})

test('what is held for an answer that is being made is given back, once', () => {
  const backlog = new OutboundBudget(10)
  const [one, other] = [backlog.reserve(), backlog.reserve()]
  one.grow(8)
  one.grow(8)
  expect(backlog.bytes).toBe(16)
  expect(() => other.grow(1)).toThrow(expect.objectContaining({ code: 'overloaded' }))
  expect(backlog.bytes).toBe(16)
  one.release()
  one.release()
  expect(backlog.bytes).toBe(0)
  other.grow(1)
  expect(backlog.bytes).toBe(1)
  other.release()
  expect(backlog.bytes).toBe(0)
})

test('an answer leaves in pieces, each when the one before is taken, and is counted until its end', async () => {
  const backlog = new OutboundBudget(10)
  const reader = new Reader()
  const ends: boolean[] = []
  const large = Buffer.alloc(2 * PIECE_BYTES + 1, 'x')
  writeChunked(reader, ['é', large, ''], backlog, (taken) => ends.push(taken))
  const bytes = byteLength(['é', large, ''])
  expect(bytes).toBe(2 + large.length)
  for (const length of [2, PIECE_BYTES, PIECE_BYTES, 1]) {
    expect([reader.pieces.at(-1)?.length, backlog.bytes, ends]).toEqual([length, bytes, []])
    await reader.take()
  }
  expect([reader.pieces.length, backlog.bytes, ends]).toEqual([4, 0, [true]])
  expect(reader.text).toBe(`é${large}`)
  expect(reader.listenerCount('close')).toBe(0)
})

test('nothing to send is taken at once', () => {
  const backlog = new OutboundBudget(10)
  const ends: boolean[] = []
  writeChunked(new Reader(), [], backlog, (taken) => ends.push(taken))
  writeChunked(new Reader(), [''], backlog, (taken) => ends.push(taken))
  expect([ends, backlog.bytes]).toEqual([[true, true], 0])
})

test.each(['is cut', 'fails', 'has gone before'])(
  'a connection that %s takes no more, and nothing stays counted',
  async (how) => {
    const backlog = new OutboundBudget(10)
    const reader = new Reader()
    const ends: boolean[] = []
    if (how === 'has gone before') reader.destroy()
    writeChunked(reader, [Buffer.alloc(3 * PIECE_BYTES)], backlog, (taken) => ends.push(taken))
    if (how === 'is cut') reader.destroy()
    if (how === 'fails') await reader.take(new Error('EPIPE'))
    await turn()
    await reader.take()
    expect([ends, backlog.bytes, reader.pieces.length]).toEqual([
      [false],
      0,
      how === 'has gone before' ? 0 : 1,
    ])
    expect(reader.listenerCount('close')).toBe(0)
  },
)

test.each([false, true])(
  'what is written already is counted until it is taken, or its connection is gone (%s)',
  async (cut) => {
    const backlog = new OutboundBudget(10)
    const reader = new Reader()
    let ends = 0
    reader.write('12345')
    afterDrain(reader, backlog, () => ends++)
    expect([backlog.bytes, ends]).toEqual([5, 0])
    if (cut) reader.destroy()
    await reader.take()
    await reader.take()
    await turn()
    expect([backlog.bytes, ends, reader.listenerCount('close')]).toEqual([0, 1, 0])
  },
)
