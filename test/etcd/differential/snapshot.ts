// The form of a snapshot, which both servers have in common: blobs, and at the end their SHA-256.

import { createHash } from 'node:crypto'
import { RPC } from '../../../src/etcd/rpcs.ts'
import type { GrpcCallOptions, GrpcClient } from '../../../src/etcd-client/grpc-client.ts'
import type { JsonObject } from './frame.ts'

/** etcdctl requires that the data are a multiple of it. */
const SECTOR_BYTES = 512

export async function readSnapshot(client: GrpcClient, options: GrpcCallOptions): Promise<JsonObject> {
  const hash = createHash('sha256')
  let [bytes, last, remaining] = [0, Buffer.alloc(0), 0]
  for await (const { blob, remainingBytes } of client.serverStream(RPC.snapshot, {}, options)) {
    hash.update(last)
    bytes += last.length
    last = Buffer.from(blob)
    remaining = remainingBytes
  }
  return {
    isWhole: bytes > 0 && bytes % SECTOR_BYTES === 0,
    hasHash: last.equals(hash.digest()),
    remaining,
  }
}
