// Lease.LeaseTimeToLive

import { EncodedValues } from '../../../etcd/message.ts'
import { LeaseTimeToLiveResponse } from '../../../etcd/messages/lease.ts'
import { RPC } from '../../../etcd/rpcs.ts'
import { ApiError } from '../../../operations/forms/index.ts'
import type { RowStream } from '../../api/answer.ts'
import type { EtcdCall } from '../call.ts'
import { decodeLeaseId, encodeSeconds } from '../fields.ts'
import { readInTurn } from '../read-turns.ts'
import { serveUnary } from '../rpc.ts'

export const leaseTimeToLive = serveUnary(RPC.leaseTimeToLive, async ({ id, keys }, call) => {
  const read = (deadline = call.deadline) => describe(id, keys, call, deadline)
  // Its keys are read by a scan, as a range is.
  return keys ? await readInTurn(call, read) : await read()
})

async function describe(id: bigint, keys: boolean, call: EtcdCall, deadline: number) {
  const answer = id === 0n ? undefined : await show(id, keys, call, deadline)
  // etcd says so instead of an error.
  if (answer === undefined) return { header: call.header(), id, ttl: -1 }
  const lease = answer.kind === 'lease-keys' ? answer.lease : answer.result.lease
  return {
    header: call.header(answer.head.revision),
    id,
    ttl: Math.floor(lease.remainingTtlMs / 1000),
    grantedTtl: encodeSeconds(lease.grantedTtlMs),
    keys: answer.kind === 'lease-keys' ? await collect(answer.keys, call) : (answer.result.keys ?? []),
  }
}

/** undefined: there is no such lease. */
async function show(id: bigint, keys: boolean, call: EtcdCall, deadline: number) {
  try {
    const operation = { kind: 'show-lease', id: decodeLeaseId(id), keys, freshness: {} } as const
    return await call.execute(operation, { deadline })
  } catch (error) {
    if (error instanceof ApiError && error.code === 'lease_not_found') return undefined
    throw error
  }
}

/** There may be any number of keys: they are encoded while they are read. */
async function collect(stream: RowStream<Uint8Array>, call: EtcdCall): Promise<EncodedValues<Uint8Array>> {
  const parts: Uint8Array[] = []
  let count = 0
  try {
    for (let keys = await stream.next(); keys !== undefined; keys = await stream.next()) {
      const part = LeaseTimeToLiveResponse.encode({ keys })
      call.hold(part.length)
      parts.push(part)
      count += keys.length
    }
  } finally {
    stream.close()
  }
  return new EncodedValues(parts, count, (part) => LeaseTimeToLiveResponse.decode(part).keys)
}
