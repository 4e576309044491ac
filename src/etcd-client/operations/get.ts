import { RPC } from '../../etcd/rpcs.ts'
import type { GetRequest, GetResult } from '../../operations/get.ts'
import { checkFreshness, decodeRow, isSerializable } from '../fields.ts'
import type { EtcdOperation } from './operation.ts'

export const get: EtcdOperation<GetRequest, GetResult> = async ({ key, revision = 0, freshness }, calls) => {
  const serializable = isSerializable(freshness)
  const { header, kvs } = await calls.read(RPC.range, { key, revision, serializable })
  checkFreshness(freshness, header)
  const [found] = kvs
  return { result: found && decodeRow(found), header, served: serializable ? 'stale' : 'linearizable' }
}
