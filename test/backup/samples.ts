// A node with a store of all kinds of rows, backups of it, and what is in a directory that was made from them.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { BackupReader } from '../../src/backup/format.ts'
import { type NewNode, readPages } from '../../src/backup/restore.ts'
import { decodeState, type KvState } from '../../src/kv/index.ts'
import type { KeyRow, LeaseId, Revision } from '../../src/operations/forms/index.ts'
import { RecordScan } from '../../src/server/node/read/record-scan.ts'
import { openStorage } from '../../src/storage/directory.ts'
import { noEmptyRanges, type Storage, type StoredRow } from '../../src/storage/index.ts'
import type { Range } from '../../src/storage/types.ts'
import { AS_ROOT, BOB_PASSWORD, nodeWithUsers } from '../server/auth/users.ts'
import type { FakeNode } from '../server/http/fake-node.ts'
import { serve } from '../server/http/served.ts'
import { closed } from '../storage/samples.ts'

export { BOB_PASSWORD }

export function temporaryDirectory(): string {
  const dir = mkdtempSync(join(tmpdir(), 'quorate-backup-test-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

const NO_CONDITION = { condition: undefined, prev: false } as const

/** Users, leases, keys with several versions, and keys that were deleted. */
export async function nodeWithEverything(keys: number): Promise<FakeNode> {
  const node = nodeWithUsers()
  node.apply({ kind: 'grant', id: '7' as LeaseId, ttlMs: 60_000 })
  const lease = { id: '7' as LeaseId }
  node.apply({ kind: 'put', key: Buffer.from('leased'), value: Buffer.from('x'), lease, ...NO_CONDITION })
  for (let at = 0; at < keys; at++) {
    node.put(`key ${at % 64} of ${at}`, `value ${at} `.repeat(20))
    if (at % 3 === 0) node.put(`key ${at % 64} of ${at}`, `newer ${at}`)
    if (at % 5 === 0)
      node.apply({ kind: 'delete', key: Buffer.from(`key ${at % 64} of ${at}`), ...NO_CONDITION })
  }
  return node
}

export async function backupOf(node: FakeNode, query = ''): Promise<Buffer> {
  const { ask } = await serve({ node })
  const { status, bytes } = await ask('GET', `/v1/backup${query}`, { headers: AS_ROOT })
  if (status !== 200) throw new Error(bytes.toString())
  return bytes
}

export function fileWith(bytes: Uint8Array): string {
  const path = join(temporaryDirectory(), 'store.backup')
  writeFileSync(path, bytes)
  return path
}

export const newNode = (dir: string): NewNode => ({
  ...{ dir, name: 'n9', peer: '127.0.0.1:7', url: 'http://127.0.0.1:8' },
})

export async function rowsIn(bytes: Uint8Array): Promise<StoredRow[]> {
  const rows: StoredRow[] = []
  const chunks = async function* () {
    yield bytes
  }
  for await (const page of new BackupReader(chunks()).pages()) rows.push(...page)
  return rows
}

export async function opened<T>(
  dir: string,
  use: (storage: Storage, state: KvState) => Promise<T>,
): Promise<T> {
  const storage = await openStorage(dir)
  try {
    return await use(storage, decodeState(storage.applied.kv))
  } finally {
    await closed(storage)
  }
}

export async function storedRows(storage: Storage): Promise<StoredRow[]> {
  const rows: StoredRow[] = []
  for await (const page of readPages(storage.scanAll())) rows.push(...page)
  return rows
}

/** The records of a store, at a revision. */
export function recordsOf(storage: Pick<Storage, 'scan'>, revision?: Revision): Promise<readonly object[]> {
  const range = { start: new Uint8Array(), end: undefined }
  const rows = {
    scan: (rowRange: Range) => storage.scan(rowRange),
    applied: storage.scan({ gte: new Uint8Array(), lt: new Uint8Array(), reverse: false }).applied,
    emptyRanges: noEmptyRanges,
    keyMetadata: () => undefined,
    damaged: (what: string) => new Error(what),
  }
  const scan = new RecordScan(rows, { ...range, reverse: false, revision })
  return new Promise((resolve, reject) => {
    scan.next({ rowsMax: 1e6, bytesMax: 1e9 }, (error, records) => {
      scan.close()
      if (error === undefined) resolve(records.map(plain))
      else reject(error)
    })
  })
}

const plain = ({ key, value, ...meta }: KeyRow): object => ({
  ...{ key: Buffer.from(key).toString('hex'), value: Buffer.from(value).toString('hex'), ...meta },
})
