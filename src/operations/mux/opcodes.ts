// The numbers of the kinds of items that a client sends on a multiplexed connection. They are a part of the protocol:
// a new kind takes a number that none has had.

/** Also those of items that are no operations: a cancellation, and the trace context of the next operation. */
export const OPCODES = {
  cancel: 0,
  put: 1,
  delete: 2,
  get: 3,
  range: 4,
  'open-session': 5,
  batch: 6,
  txn: 7,
  'delete-range': 8,
  compact: 9,
  'keep-alive': 10,
  trace: 11,
  watch: 16,
} as const

/** The number of an operation. */
export type OperationOpcode = (typeof OPCODES)[Exclude<keyof typeof OPCODES, 'cancel' | 'trace'>]

if (new Set(Object.values(OPCODES)).size < Object.keys(OPCODES).length)
  throw new Error('two kinds of items of a multiplexed connection have one number')
