// The numbers of the protocol. docs/reference/protocol.md describes it.

export const SUBPROTOCOL = 'quorate.v1'
export const PROTOCOL_VERSION = 1

/** Kinds of items of the client: their second element. */
export const CANCEL = 0
export const PUT = 1
export const DELETE = 2
export const GET = 3
export const RANGE = 4
export const OPEN_CLIENT_SESSION = 5
export const CHANGES = 6
/** These three exist on nodes whose welcome has `txn_operations_max`. */
export const TXN = 7
export const DELETE_RANGE = 8
export const COMPACT = 9
/** Exists on nodes whose welcome has `keep_alive_max`. */
export const KEEP_ALIVE = 10
/** Precedes an operation: its trace context. Nothing answers it. */
export const TRACE = 11
/** Exists on nodes whose welcome has `watches_max`. */
export const WATCH = 16

/** Kinds of items of the server that end an operation: their second element. */
export const SUCCESS = 0
export const PROBLEM = 1
/** Kinds of items of the server for a watch that has begun: their second element. */
export const EVENTS = 2
export const PROGRESS = 3
export const WATCH_ENDED = 4
/** The id of items of the server that answer no operation. */
export const NOTICE = 0

export const ID_MAX = 2 ** 31 - 1

/** The name of each operation in metrics. */
export const NAMES = {
  [PUT]: 'put',
  [DELETE]: 'delete',
  [GET]: 'get',
  [RANGE]: 'range',
  [OPEN_CLIENT_SESSION]: 'other',
  [CHANGES]: 'batch',
  [TXN]: 'other',
  [DELETE_RANGE]: 'delete',
  [COMPACT]: 'other',
  [KEEP_ALIVE]: 'other',
  [WATCH]: 'other',
} as const
export type Opcode = keyof typeof NAMES

/** Close codes (RFC 6455 §7.4.1). */
export const GOING_AWAY = 1001
export const PROTOCOL_ERROR = 1002
export const UNSUPPORTED_DATA = 1003
export const POLICY_VIOLATION = 1008
export const INTERNAL_ERROR = 1011
export const TRY_AGAIN_LATER = 1013

/** A client broke the protocol: its connection is closed with this code. */
export class ProtocolFault extends Error {
  override readonly name = 'ProtocolFault'
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}
