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
  ['hasleader', 'hasLeader'],
  ['authorization', 'authorization'],
  ['token', 'token'],
  ['origin', 'origin'],
  ['sec-fetch-site', 'secFetchSite'],
  ['traceparent', 'traceparent'],
  ['tracestate', 'tracestate'],
])

type FieldName = Exclude<keyof RequestFields, 'fault' | 'bytes' | 'areTrailers' | 'add' | 'end'>

/** Fields of a connection of HTTP/1.1, which a request of HTTP/2 must not have (RFC 9113 §8.2.2). */
const OF_CONNECTIONS: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
])

const NAME = /^:?[!#$%&'*+.^_`|~0-9a-z-]+$/
/** The length of a request. It has no sign, and is smaller than what a number holds. */
const LENGTH = /^[0-9]{1,15}$/
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
  hasLeader: string | undefined = undefined
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
    const before = this[use]
    if (before === undefined) this[use] = value
    else if (use === 'tracestate') this.tracestate = `${before},${value}`
    // Which of two would count is not for this node to choose.
    else this.fault ??= 'malformed'
  }

  /** Size of all fields, with their overhead. */
  get bytes(): number {
    return this.#bytes
  }

  /** Whether these fields may follow a request. Those of HTTP itself do not. */
  get areTrailers(): boolean {
    const { method, scheme, path, authority, fault } = this
    return (fault ?? method ?? scheme ?? path ?? authority) === undefined
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
  if (!NAME.test(name) || !isValue(value) || OF_CONNECTIONS.has(name)) return 'malformed'
  if (name === 'te' && value !== 'trailers') return 'malformed'
  if (name === 'content-length' && !LENGTH.test(value)) return 'malformed'
  return NAMES.get(name)
}

/** RFC 9113 §8.2.1: a value neither begins nor ends with white space, and has no control characters. */
function isValue(value: string): boolean {
  for (let at = 0; at < value.length; at++) {
    const code = value.charCodeAt(at)
    if (code <= SPACE ? isOuter(at, value) || (code !== SPACE && code !== TAB) : code === DELETE) return false
  }
  return true
}

const isOuter = (at: number, { length }: string): boolean => at === 0 || at === length - 1

const TAB = 9
const SPACE = 32
const DELETE = 127
