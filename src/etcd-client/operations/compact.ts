import { RPC } from '../../etcd/rpcs.ts'
import type { CompactOutcome, CompactRequest } from '../../operations/compact.ts'
import { revisionFrom } from '../fields.ts'
import type { EtcdOperation } from './operation.ts'

export const compact: EtcdOperation<CompactRequest, CompactOutcome> = async ({ revision }, calls) => {
  const { header } = await calls.change(RPC.compact, { revision })
  return {
    result: { kind: 'compacted', revision: revisionFrom(header), compactRevision: revision },
    header,
  }
}
