// The input of a load generator and its report. The main program writes one Load as a line of JSON to the input of
// the generator; generator.ts reads it, or bench/generator for clients in Go.

export type Consistency = 'linearizable' | 'lease' | 'stale'

/**
 * `put`: a random key of the store. `create`: a new key, if it does not exist. `update`: one of some keys that the load
 * has created, if it has the revision that the last answer stated.
 */
export type Write = 'put' | 'create' | 'update'

/** Protocol that carries the operations. */
export type Over = 'http' | 'client' | 'mux' | 'grpc' | 'nats' | 'consul' | 'rqlite' | 'wrong-logins'

/** Credentials for a cluster with TLS that checks rights. */
export interface Access {
  /** Certificate of the CA, in PEM. */
  readonly ca: string
  readonly user: string
  readonly password: string
}

export interface Load {
  readonly over: Over
  /** Base URLs. */
  readonly endpoints: readonly string[]
  readonly access?: Access
  /** For protocols that carry many operations on one connection. HTTP/1.1 has one connection for each in flight. */
  readonly connections: number
  /** Limit of operations in flight. */
  readonly in_flight: number
  /** Open loop: so many operations a second are due, whatever the answers do. null: closed loop. */
  readonly rate: number | null
  /** Share of reads: 0 only writes, 1 only reads. */
  readonly reads: number
  readonly consistency: Consistency
  readonly writes: Write
  /** Keys that one read returns: 1 is a get, more is a range that begins at the chosen key. */
  readonly range: number
  /**
   * Each read is of all keys of its range, in pages of so many at one revision; 0: in one response. Only generators in
   * Go have it.
   */
  readonly page?: number
  /** Keys 0 to `keys` - 1 are chosen uniformly. */
  readonly keys: number
  /** Instead: write each key from this number to `keys` - 1 once, and end. */
  readonly fill_from: number | null
  readonly value_bytes: number
  readonly warmup_seconds: number
  /** null: until the generator is stopped, or its input ends. */
  readonly seconds: number | null
}

export interface LoadReport {
  /** Answered without an error, of those counted. */
  readonly operations: number
  /** From the end of the warm-up to the last counted answer. */
  readonly seconds: number
  readonly p50_ms: number
  readonly p99_ms: number
  readonly p999_ms: number
  readonly max_ms: number
  readonly errors: Readonly<Record<string, number>>
  /** CPU time of the generator in that time. */
  readonly cpu_us: number
}

/** Line that a generator prints when the warm-up is over. Its second line is the report. */
export const BEGUN = 'begun'

const KEY_DIGITS = 10

/** The name of a key: all have the same length, and their order is that of their numbers. */
export const keyName = (number: number): string => `key-${String(number).padStart(KEY_DIGITS, '0')}`
