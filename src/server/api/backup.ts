// A backup: all rows of one instant, as the bytes of a file.

import { type BackupHeader, BackupWriter, BLOCK_LIMITS } from '../../backup/format.ts'
import { BackupRows, backedUpState, decodeState, encodeState } from '../../kv/index.ts'
import { ApiError } from '../../operations/forms/index.ts'
import type { OperationOf } from '../../operations/index.ts'
import type { RowScan, StoredRow } from '../../storage/types.ts'
import { version } from '../../system/version.ts'
import type { KvNode } from '../node/kv-node.ts'
import type { OpenAnswer, Respond, RowStream } from './answer.ts'
import type { Api } from './api.ts'
import type { Call } from './call.ts'
import { errorOfNode } from './errors.ts'
import { errorOfScan, finish, type Instant } from './ranges.ts'
import { readOptions } from './read-options.ts'

/** The read is linearizable: the backup has every change that was answered before the request. */
export function backUp(
  api: Api,
  { history: withHistory }: OperationOf<'backup'>,
  call: Call,
  respond: Respond<OpenAnswer<'backup'>>,
): void {
  const read = async ({ grant, open }: Instant): Promise<void> => {
    const scan = open(() => api.node.rows())
    const header = backupHeader(api.node, scan, withHistory)
    const until = performance.now() + api.limits.backupMsMax
    await new Promise<void>((resolve) => {
      const file = new BackupStream(scan, header, until, resolve)
      respond({ kind: 'backup', file, head: grant })
    })
  }
  api.ranges.readInstant(call, {}, read, (error) => respond(api.toApiError(error)))
}

/** How long the read of a backup that the node itself makes may wait. */
const READ_MS_MAX = 5000

/** The bytes of a backup that the node itself makes, without a limit on its time. */
export async function* backupFile(
  node: KvNode,
  withHistory: boolean,
): AsyncGenerator<Uint8Array, void, undefined> {
  const scan = await new Promise<RowScan>((resolve, reject) => {
    const options = readOptions({}, READ_MS_MAX)
    node.read(options, (result) => {
      if (!result.ok) return reject(errorOfNode(result.problem, true))
      try {
        resolve(node.rows())
      } catch (error) {
        reject(error)
      }
    })
  })
  const header = backupHeader(node, scan, withHistory)
  const stream = new BackupStream(scan, header, Number.POSITIVE_INFINITY, () => scan.close())
  try {
    for (let pieces = await stream.next(); pieces !== undefined; pieces = await stream.next()) yield* pieces
  } finally {
    stream.close()
  }
}

function backupHeader(node: KvNode, { applied }: RowScan, hasHistory: boolean): BackupHeader {
  return {
    clusterId: node.clusterId,
    node: node.name,
    version: version(),
    createdAtMs: Date.now(),
    index: applied.index,
    term: applied.term,
    hasHistory,
    users: node.auth.state.users.size,
    kv: encodeState(backedUpState(decodeState(applied.kv), hasHistory)),
    raft: applied.raft,
  }
}

/** Pieces of the file, each read when the one before has been taken. */
class BackupStream implements RowStream<Uint8Array> {
  readonly #scan: RowScan
  readonly #rows: BackupRows
  readonly #until: number
  readonly #ended: () => void
  readonly #writer = new BackupWriter()
  #header: BackupHeader | undefined
  #isRead = false
  #isOver = false

  constructor(scan: RowScan, header: BackupHeader, until: number, ended: () => void) {
    this.#scan = scan
    this.#header = header
    this.#rows = new BackupRows(header.hasHistory)
    this.#until = until
    this.#ended = ended
  }

  async next(): Promise<readonly Uint8Array[] | undefined> {
    if (this.#isOver) return undefined
    if (performance.now() > this.#until) throw new ApiError('overloaded', 'the backup took too long to read')
    const header = this.#header
    this.#header = undefined
    if (header !== undefined) return [this.#writer.begin(header)]
    while (!this.#isRead) {
      const { rows, more } = await this.#readPage()
      this.#isRead = !more
      const kept = rows.filter((row) => this.#rows.has(row))
      if (kept.length > 0) return [this.#writer.rows(kept)]
    }
    // Without the report of this, rows may be missing.
    await finish(this.#scan)
    this.#isOver = true
    return [this.#writer.end()]
  }

  #readPage(): Promise<{ readonly rows: readonly StoredRow[]; readonly more: boolean }> {
    return new Promise((resolve, reject) => {
      this.#scan.next(BLOCK_LIMITS, (error, rows, more) =>
        error === undefined ? resolve({ rows, more }) : reject(errorOfScan(error)),
      )
    })
  }

  close(): void {
    this.#ended()
  }
}
