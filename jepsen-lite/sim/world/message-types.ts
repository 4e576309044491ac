// All types of messages between replicas, in an order that never changes: the trace of a schedule holds their numbers.

import type { Message } from '../../../src/raft/index.ts'

export const MESSAGE_TYPES = [
  'append',
  'append-accepted',
  'append-rejected',
  'heartbeat',
  'heartbeat-answer',
  'vote-request',
  'pre-vote-request',
  'vote-answer',
  'pre-vote-answer',
  'timeout-now',
  'transfer-request',
  'forward',
  'forward-refused',
  'read-index',
  'read-index-answer',
  'lost-state',
] as const satisfies readonly Message['type'][]
