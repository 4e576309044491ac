import { RPC } from '../../etcd/rpcs.ts'
import type { GetRequest, GetResult } from '../../operations/get.ts'
import { checkFreshness, decodeRow, isSerializable, readAt } from '../fields.ts'
import type { EtcdOperation } from './operation.ts'

export const get: EtcdOperation<GetRequest, GetResult> = async ({ key, revision = 0, freshness }, calls) => {
  const serializable = isSerializable(freshness)
  const reading = calls.read(RPC.range, { key, revision, serializable })
  const { header, kvs } = await readAt(revision, freshness, reading)
  checkFreshness(freshness, header)
  const [found] = kvs
  return { result: found && decodeRow(found), header, served: serializable ? 'stale' : 'linearizable' }
}
