// The header of every response.

import { bigUint64, int64, type MessageOf, message } from '../message.ts'

export type ResponseHeader = MessageOf<typeof ResponseHeader>
export const ResponseHeader = message({
  clusterId: bigUint64(1),
  memberId: bigUint64(2),
  /** The revision of the store now, also of a read at an earlier one. */
  revision: int64(3),
  raftTerm: int64(4),
})
