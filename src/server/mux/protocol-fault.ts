// How a connection ends that a client has used wrongly, or that a node cannot serve. docs/reference/protocol.md
// describes the protocol.

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
