// Transactions on their way to a node. Bytes are Buffers and names are those of `POST /v1/txn`; JSON has strings in
// place of bytes (transport/http-codec.ts).

/** Fields that are undefined are not sent. */
export interface WireRange {
  readonly key?: Buffer | undefined
  readonly prefix?: Buffer | undefined
  readonly start?: Buffer | undefined
  readonly end?: Buffer | undefined
}

export interface WireComparison extends WireRange {
  readonly target?: string
  readonly op?: string
  readonly to?: Buffer | string | number
  readonly exists?: boolean
}

export type WireTxnOperation =
  | {
      readonly put: {
        readonly key: Buffer
        readonly value: Buffer
        readonly lease?: string
        readonly ttl?: string
        readonly prev?: true
      }
    }
  | {
      readonly get: WireRange & {
        readonly limit?: number
        readonly keys_only?: true
        readonly count?: true
        readonly count_only?: true
      }
    }
  | { readonly delete: WireRange & { readonly prev?: true } }
  | { readonly txn: WireTxn }

export interface WireTxn {
  readonly compare: readonly WireComparison[]
  readonly success: readonly WireTxnOperation[]
  readonly failure: readonly WireTxnOperation[]
}

/** Properties of the operations of a transaction. */
export interface TxnProperties {
  /** It has no puts and no deletes. */
  readonly isRead: boolean
  /** It asks for records as they were before. Such a transaction cannot be sent twice. */
  readonly hasPrev: boolean
}

export function propertiesOf({ success, failure }: WireTxn): TxnProperties {
  let isRead = true
  let hasPrev = false
  for (const operation of [...success, ...failure]) {
    if ('txn' in operation) {
      const inner = propertiesOf(operation.txn)
      isRead &&= inner.isRead
      hasPrev ||= inner.hasPrev
    } else if (!('get' in operation)) {
      isRead = false
      const { prev } = 'put' in operation ? operation.put : operation.delete
      hasPrev ||= prev === true
    }
  }
  return { isRead, hasPrev }
}

/** The strings and byte strings in it: what it takes of the credit of a connection. */
export function bytesIn(value: unknown): number {
  if (Buffer.isBuffer(value)) return value.length
  if (typeof value === 'string') return Buffer.byteLength(value)
  if (typeof value !== 'object' || value === null) return 0
  let bytes = 0
  for (const inside of Object.values(value)) bytes += bytesIn(inside)
  return bytes
}

/** How many lists and objects it has, and values in them. */
export function partsIn(value: unknown): number {
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return 1
  let parts = 1
  for (const inside of Object.values(value)) parts += partsIn(inside)
  return parts
}
