// A scan over rows that are applied and not durable. The disk of a leader stalls while those of its followers are fast,
// so what its clients write stays in memory, up to the shipped limit.

import { expect, test } from 'vitest'
import { encodeState, initialState, type KeyRow } from '../../../src/kv/index.ts'
import type { Entry } from '../../../src/raft/types.ts'
import { Applier } from '../../../src/server/node/applier.ts'
import { keyIndexLimits } from '../../../src/server/node/key-index/key-index.ts'
import { driverLimits } from '../../../src/server/node/limits.ts'
import { type RecordScan, scanRecords } from '../../../src/server/node/record-scan.ts'
import type { Storage } from '../../../src/storage/index.ts'
import { storeLimits } from '../../../src/storage/store.ts'
import { requestBytes, requestKind, writeRequest } from '../../../src/kv/index.ts'
import { BODY_AT, newFrame, sealFrame, stampFrame } from '../../../src/raft/entry.ts'
import { asIndex, asReplicaId, asTerm } from '../../../src/raft/types.ts'
import { batchOf, putOf, utf8 } from '../../kv/store.ts'
import { crc32 } from '../../raft/harness/frames.ts'
import { memoryDisk, openDisk } from '../../storage/replicas.ts'
import { closed, hardState } from '../../storage/samples.ts'

/** Of one entry: small puts of many clients share one. */
const PUTS = 500
const VALUE = 'v'.repeat(32)

function entryAt(index: number): Entry {
  const puts = Array.from({ length: PUTS }, (_, at) =>
    putOf(`user/${(Math.imul(index * PUTS + at, 0x9e3779b1) >>> 0).toString(16)}`, VALUE),
  )
  const request = { command: batchOf(...puts), idempotency: undefined, principal: '' }
  const { kind, version } = requestKind(request)
  const header = { kind, version, proposer: asReplicaId('9'), boot: 1, seq: index }
  const frame = newFrame(header, requestBytes(request))
  writeRequest(request, frame, BODY_AT)
  sealFrame(frame, crc32)
  stampFrame(frame, asTerm(1), asIndex(index), 0)
  return { index: asIndex(index), term: asTerm(1), frame }
}

/** A replica with so many rows in memory, in a share of the shipped limit. */
async function withRowsInMemory(share: number): Promise<Storage> {
  const applied = {
    index: asIndex(1),
    term: asTerm(1),
    raft: new Uint8Array(),
    kv: encodeState(initialState()),
  }
  const disk = memoryDisk({ hardState: hardState(1, 1), applied })
  const storage = await openDisk(disk, undefined, {}, { ...storeLimits, ...keyIndexLimits, rowHeads: 1e6 })
  while (!storage.knowsAllHeads) await new Promise(setImmediate)
  const applier = new Applier(
    storage,
    {
      leaseChanged: () => {},
      coreEntryApplied: () => {},
      encodedRaftState: () => new Uint8Array(),
      entryRead: () => {},
      applied: () => undefined,
      failed: (error) => {
        throw error
      },
    },
    driverLimits.applyKeysAtOnce,
  )
  let index = 1
  while (storage.overlayBytes < share * driverLimits.overlayBytesMax) {
    applier.push([entryAt(++index)])
    applier.run(() => false)
  }
  return storage
}

function cpuMsOf(act: () => void): number {
  const before = process.cpuUsage()
  act()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

const page = (scan: RecordScan): Promise<readonly KeyRow[]> =>
  new Promise((resolve, reject) =>
    scan.next({ rowsMax: 10, bytesMax: 1e6 }, (error, rows) =>
      error === undefined ? resolve(rows) : reject(error),
    ),
  )

test.each([1, 0.5])(
  'a page of ten keys blocks the event loop while the disk stalls, and %d of the limit of rows in memory is used',
  async (share) => {
    const storage = await withRowsInMemory(share)
    const range = { start: utf8('user/'), end: utf8('user0'), reverse: false, revision: undefined }
    let scan: RecordScan | undefined
    const first = cpuMsOf(() => {
      scan = scanRecords(storage, range)
    })
    expect((await page(scan as unknown as RecordScan)).length).toBe(10)
    scan?.close()
    // A transaction without changes seeks once for each of its keys, of which it may have 128.
    scan = scanRecords(storage, range)
    const seek = cpuMsOf(() => {
      for (let n = 0; n < 8; n++) scan?.moveTo({ start: utf8(`user/${n}`), end: utf8(`user/${n}0`) })
    })
    scan.close()
    await closed(storage)
    console.log(`share ${share}: opening a scan ${first} ms, 8 seeks ${seek} ms`)
    expect(first).toBeLessThan(100)
    expect(seek / 8).toBeLessThan(10)
  },
  120_000,
)
