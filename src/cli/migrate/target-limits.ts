// The limits of the target, checked before the first key is copied: a migration that cannot end does not begin.

import { type Client, QuorateError, type Settings } from '../../client/index.ts'
import { Failure } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { hasFeature, SETTING_LIMITS } from '../../operations/forms/settings.ts'
import { EXIT } from '../exit-codes.ts'
import { escapeText } from '../format/text.ts'
import type { SourceRecord } from './changes.ts'

const NAMED_MAX = 10
/** Characters of a key in a message. */
const KEY_CHARACTERS_MAX = 200

/** A key for a message. */
export function keyText(key: Uint8Array): string {
  const text = escapeText(Buffer.from(key).toString())
  return text.length > KEY_CHARACTERS_MAX ? `${text.slice(0, KEY_CHARACTERS_MAX)}…` : text
}

/** Checks records against the settings of a cluster of quorate; without settings, nothing is known of the target. */
export class TargetLimits {
  readonly #settings: Settings
  readonly #faults: string[] = []
  #faultCount = 0
  #bytes = 0
  readonly #keysOfLeases = new Map<string, number>()
  #largest: SourceRecord | undefined

  constructor(settings: Settings = {}) {
    this.#settings = settings
  }

  /** Counts a record that is to be copied. */
  add(record: SourceRecord): void {
    const { lease, bytes } = record
    this.#bytes += bytes
    if (lease !== undefined) this.#keysOfLeases.set(lease, (this.#keysOfLeases.get(lease) ?? 0) + 1)
    if (bytes > (this.#largest?.bytes ?? 0)) this.#largest = record
    const fault = this.findFault(record)
    if (fault === undefined) return
    this.#faultCount += 1
    if (this.#faults.length < NAMED_MAX) this.#faults.push(fault)
  }

  /** Why the target cannot store the record. */
  findFault({ keyBytes, value, lease }: SourceRecord): string | undefined {
    const name = keyText(keyBytes)
    if (isNegative(lease)) return `the lease of ${name} has the id ${lease}: quorate has positive ids only`
    if (keyBytes.length > this.#limit('key_bytes_max'))
      return `the key ${name} has ${keyBytes.length} bytes: ${this.#remedy('key_bytes_max', keyBytes.length)}`
    if (value.length > this.#limit('value_bytes_max'))
      return `the value of ${name} has ${value.length} bytes: ${this.#remedy('value_bytes_max', value.length)}`
    return undefined
  }

  /** Throws a failure that names what does not fit. The target has refused nothing yet. */
  check(): void {
    const leases = this.#keysOfLeases
    const totals = [
      this.#over('store_bytes_max', this.#bytes, `the keys and values have ${this.#bytes} bytes together`),
      this.#over('leases_max', leases.size, `the keys have ${leases.size} leases`),
      ...(hasFeature({ clusterVersion: this.#limit('cluster_version') }, 'leaseParts')
        ? []
        : [...leases].map(([id, keys]) =>
            this.#over('range_keys_max', keys, `lease ${id} has ${keys} keys`),
          )),
    ]
    const faults = [...this.#faults, ...totals.flatMap((fault) => fault ?? []).slice(0, NAMED_MAX)]
    if (faults.length === 0) return
    const more = this.#faultCount - this.#faults.length
    const others = more > 0 ? [`and ${more} more`] : []
    throw new Failure(EXIT.failed, 'nothing was copied: the target cannot store all of it', [
      ...faults,
      ...others,
    ])
  }

  /** Sends the largest record under a condition that does not hold: a request that is too large is refused. */
  async probe(writer: Client, signal: AbortSignal): Promise<void> {
    if (this.#largest === undefined) return
    const { keyBytes: key, value, bytes } = this.#largest
    const compare = [{ key, target: 'version', op: '<', to: 0 }] as const
    try {
      await writer.txn({ compare, success: [{ put: { key, value } }] }, { signal })
    } catch (error) {
      if (!(error instanceof QuorateError)) throw error
      if (error.written === 'unknown') return
      if (!isTooLarge(error)) throw error
      const size = `${keyText(key)} has ${bytes} bytes with its value`
      throw new Failure(
        EXIT.failed,
        `nothing was copied: ${size}, which the target refuses (${error.message}); ${OF_ETCD}`,
      )
    }
  }

  #limit(name: string): number {
    const limit = this.#settings[name]
    return typeof limit === 'number' ? limit : Number.POSITIVE_INFINITY
  }

  #over(name: string, amount: number, what: string): string | undefined {
    return amount > this.#limit(name) ? `${what}: ${this.#remedy(name, amount)}` : undefined
  }

  #remedy(name: string, amount: number): string {
    const is = `${name} of the target is ${this.#limit(name)}`
    const setting = name.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase())
    const { max } = SETTING_LIMITS[setting as keyof typeof SETTING_LIMITS]
    return amount <= max
      ? `${is}; raise it with \`${PROGRAM} settings set ${name}=${amount}\``
      : `${is}, and can be ${max} at most`
  }
}

/** Clients of etcd may choose such an id. */
export const isNegative = (lease: string | undefined): boolean => lease?.startsWith('-') === true

const OF_ETCD = 'the limit of etcd is its flag --max-request-bytes'
const TOO_LARGE = new Set(['request_too_large', 'value_too_large', 'key_too_long'])

/** Whether the target refuses the transaction for its size. */
export const isTooLarge = ({ code }: QuorateError): boolean => TOO_LARGE.has(code)
