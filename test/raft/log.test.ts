import { expect, test } from 'vitest'
import { RaftLog } from '../../src/raft/log.ts'
import { asIndex, asTerm, type Entry, type LogIndex } from '../../src/raft/types.ts'
import { TestLog } from './harness/disk.ts'
import { LIMITS } from './harness/node.ts'

const FRAME_BYTES = 100
const limits = { ...LIMITS, tailBytesMax: 300, applyBytesMax: 1000 }

/** Records the reads. */
class WatchedLog extends TestLog {
  readonly reads: LogIndex[] = []

  override entries(from: LogIndex, to: LogIndex, bytesMax: number): Entry[] {
    this.reads.push(from)
    return super.entries(from, to, bytesMax)
  }
}

/** A log of entries 1 to `count`, in batches of ten, all of them durable. */
function durable(count: number, commitTo: LogIndex): { log: RaftLog; disk: WatchedLog } {
  const disk = new WatchedLog(asIndex(0), asTerm(0), [])
  const log = new RaftLog(disk, asIndex(0), asIndex(0))
  const hardState = { term: asTerm(1), vote: undefined, commit: asIndex(0) }
  for (let last = 10; last <= count; last += 10) {
    for (let index = last - 9; index <= last; index++) {
      log.append({ index: asIndex(index), term: asTerm(1), frame: new Uint8Array(FRAME_BYTES) })
    }
    if (commitTo >= last) log.commitTo(asIndex(last))
    const write = log.takeWrite(hardState, false, 0)
    if (write === undefined) throw new Error('nothing to write')
    disk.write(write)
    log.stored(write.number, limits, 0)
  }
  return { log, disk }
}

const isInMemory = ({ log, disk }: ReturnType<typeof durable>, index: number): boolean => {
  disk.reads.length = 0
  log.entries(asIndex(index), asIndex(index + 1), 1)
  return disk.reads.length === 0
}

test('entries that wait to be applied take bounded memory, and are read back', () => {
  const setup = durable(100, asIndex(100))
  expect([90, 91].map((index) => isInMemory(setup, index))).toEqual([false, true])
  const applied: LogIndex[] = []
  for (
    let page = setup.log.takeCommitted(1000, setup.log.commit);
    page.length > 0;
    page = setup.log.takeCommitted(1000, setup.log.commit)
  ) {
    for (const { index } of page) applied.push(index)
    setup.log.appliedTo(asIndex(applied.length))
  }
  expect(applied).toEqual(Array.from({ length: 100 }, (_, i) => i + 1))
})

test('entries that are not committed stay in memory', () => {
  const setup = durable(100, asIndex(20))
  expect([20, 21].map((index) => isInMemory(setup, index))).toEqual([false, true])
})

test('a page from memory takes exactly what fits, and not one byte more', () => {
  const { log } = durable(20, asIndex(0))
  const from = asIndex(1)
  const to = asIndex(21)
  const lengths = [1, FRAME_BYTES, 3 * FRAME_BYTES - 1, 3 * FRAME_BYTES, 3 * FRAME_BYTES + 1]
  expect(lengths.map((bytesMax) => log.entries(from, to, bytesMax).length)).toEqual([1, 1, 2, 3, 3])
})
