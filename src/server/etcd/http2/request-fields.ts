// The head of a request: those of its fields that are used here. All others are checked, counted and dropped.

/** Fields that are used, and their names here. */
const NAMES: ReadonlyMap<string, FieldName> = new Map([
  [':method', 'method'],
  [':scheme', 'scheme'],
  [':path', 'path'],
  [':authority', 'authority'],
  ['host', 'host'],
  ['content-type', 'contentType'],
  ['content-length', 'contentLength'],
  ['grpc-timeout', 'grpcTimeout'],
  ['grpc-encoding', 'grpcEncoding'],
  ['authorization', 'authorization'],
  ['token', 'token'],
  ['origin', 'origin'],
  ['sec-fetch-site', 'secFetchSite'],
  ['traceparent', 'traceparent'],
  ['tracestate', 'tracestate'],
])

type FieldName = Exclude<keyof RequestFields, 'fault' | 'add' | 'end'>

/** Fields of a connection of HTTP/1.1, which a request of HTTP/2 must not have (RFC 9113 §8.2.2). */
const OF_CONNECTIONS: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
])

const NAME = /^:?[!#$%&'*+.^_`|~0-9a-z-]+$/
/** Characters that no value has. They would end it. */
const ENDS_VALUE = /[\0\r\n]/
/** Bytes that a field counts beside its name and value (RFC 9113 §6.5.2, RFC 7541 §4.1). */
const FIELD_BYTES = 32

/** One field. Clients send the same ones in each request, so it is judged once. */
export class HeaderField {
  readonly name: string
  readonly value: string
  readonly bytes: number
  readonly use: ReturnType<typeof findUse>

  constructor(name: string, value: string) {
    this.name = name
    this.value = value
    this.bytes = FIELD_BYTES + name.length + value.length
    this.use = findUse(name, value)
  }
}

export interface HeadLimits {
  /** Size of all fields, with 32 bytes of overhead for each. */
  readonly headBytesMax: number
  readonly fieldsMax: number
}

export class RequestFields {
  method: string | undefined = undefined
  scheme: string | undefined = undefined
  path: string | undefined = undefined
  authority: string | undefined = undefined
  host: string | undefined = undefined
  contentType: string | undefined = undefined
  contentLength: string | undefined = undefined
  grpcTimeout: string | undefined = undefined
  grpcEncoding: string | undefined = undefined
  authorization: string | undefined = undefined
  token: string | undefined = undefined
  origin: string | undefined = undefined
  secFetchSite: string | undefined = undefined
  traceparent: string | undefined = undefined
  tracestate: string | undefined = undefined
  /** Why the request is not served. */
  fault: 'malformed' | 'too large' | undefined = undefined
  readonly #limits: HeadLimits
  #bytes = 0
  #fields = 0
  #hasOrdinary = false

  constructor(limits: HeadLimits) {
    this.#limits = limits
  }

  add(field: HeaderField): void {
    const { name, value, use } = field
    this.#bytes += field.bytes
    this.#fields++
    if (this.#bytes > this.#limits.headBytesMax || this.#fields > this.#limits.fieldsMax) {
      this.fault = 'too large'
      return
    }
    if (use === 'malformed') this.fault ??= 'malformed'
    else if (name.startsWith(':')) {
      // Fields of HTTP itself come first.
      if (this.#hasOrdinary || use === undefined) this.fault ??= 'malformed'
    } else this.#hasOrdinary = true
    if (use === undefined || use === 'malformed') return
    // Which of two would count is not for this node to choose.
    if (this[use] !== undefined) this.fault ??= 'malformed'
    this[use] = value
  }

  /** All fields have been added. */
  end(): void {
    const { method, scheme, path } = this
    if (method === undefined || scheme === undefined || path === undefined || path === '')
      this.fault ??= 'malformed'
  }
}

/** How a request uses a field; undefined: not at all. */
function findUse(name: string, value: string): FieldName | 'malformed' | undefined {
  if (!NAME.test(name) || ENDS_VALUE.test(value) || OF_CONNECTIONS.has(name)) return 'malformed'
  if (name === 'te' && value !== 'trailers') return 'malformed'
  return NAMES.get(name)
}
