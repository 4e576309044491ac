// Maintenance.Snapshot: the file of a backup, which `quorate restore` reads. Its last bytes are the SHA-256 of the
// rest, as in a snapshot of etcd.

import { RPC } from '../../../etcd/rpcs.ts'
import { serveStream } from '../rpc.ts'
import { ETCD_VERSION } from './status.ts'

const BLOB_BYTES = 32 * 1024
const SHA_BYTES = 32

export const snapshot = serveStream(RPC.snapshot, async (_request, call, responses) => {
  const { file } = await call.execute({ kind: 'backup', history: true })
  const header = call.header()
  const send = async (blob: Uint8Array, remainingBytes: number): Promise<void> => {
    responses.send({ header, blob, remainingBytes, version: ETCD_VERSION })
    await responses.drained()
  }
  try {
    let waiting = Buffer.alloc(0)
    for (let pieces = await file.next(); pieces !== undefined && !call.isOver; pieces = await file.next()) {
      waiting = Buffer.concat([waiting, ...pieces])
      // The SHA-256 stays for a blob of its own. The size of the file is not known before its end.
      while (waiting.length >= BLOB_BYTES + SHA_BYTES) {
        const blob = waiting.subarray(0, BLOB_BYTES)
        waiting = waiting.subarray(BLOB_BYTES)
        await send(blob, waiting.length)
      }
    }
    if (call.isOver) return
    await send(waiting.subarray(0, -SHA_BYTES), 0)
    await send(waiting.subarray(-SHA_BYTES), 0)
  } finally {
    file.close()
  }
})
