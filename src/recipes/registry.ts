// A service registry: which instances of a service run, and where.
//
// Promise: an instance is listed from the moment when `register` returns until it is closed, or until its process has
// been silent for `ttlMs`, or until another program overwrites its key. If its lease is lost although the process
// lives, the instance registers again by itself, with the fields of its last successful update. `list` is linearizable.
// `resolver` and `watch` follow the store within milliseconds.
//
// Limits: a live process may still not serve: see `failed` of the resolver. An update that fails with `written:
// 'unknown'` may be listed until the next update or registration, which writes what the updates before have made:
// repeat it. Of two processes with one id, the one that has registered last is listed. A service has at most 10,000
// instances with 4 MiB of metadata (`range_keys_max`, `range_bytes_max`), and each change makes every resolver read
// them again: this is for some hundred. A process does not notice that another program, such as an import, has
// overwritten its key: close the registration and register again.
//
// Key: service/SERVICE/ID     {"url","weight","meta"}, with the lease of the process
//
// Invariant: every write compares the key's mod revision, so a write that arrives late undoes no later one. A key
// without a lease, or with other content, is no instance: it is left out and reported.

import type { KvRecord } from '../client/index.ts'
import { checkOptions, checkValue, isFunction, isObject, isSignal, isText } from '../client/validators.ts'
import { reportForeignKey } from './foreign-keys.ts'
import { type KeySpace, keySpace, unescapePart } from './key-space.ts'
import { isLeaseTime } from './option-checks.ts'
import {
  type Instance,
  isWeight,
  type NewInstance,
  OwnRegistration,
  type Registration,
  type RegistryClient,
} from './registration.ts'
import { checkResolver, type Resolver, type ResolverOptions, startResolver } from './resolver.ts'
import { readOnChange } from './watch-helpers.ts'

export interface Registry {
  register(instance: NewInstance): Promise<Registration>
  list(options?: { readonly signal?: AbortSignal | undefined }): Promise<readonly Instance[]>
  /** Keeps the instances in memory until it is closed. */
  resolver(options?: ResolverOptions): Resolver
  /** Yields the current instances, and again after each change. */
  watch(options?: {
    readonly signal?: AbortSignal | undefined
  }): AsyncGenerator<readonly Instance[], void, undefined>
}

export function registry(kv: RegistryClient, service: string | Uint8Array): Registry {
  const space = keySpace('registry', 'service', service)
  const read = async (signal: AbortSignal | undefined) => {
    const { results, revision } = await kv.txn({ success: [{ get: { prefix: space.prefix } }] }, { signal })
    const records = results[0]?.get?.kvs ?? []
    const version = JSON.stringify(records.map(({ key, modRevision }) => [key, modRevision]))
    return { value: instancesIn(space, records), version, revision, watch: { prefix: space.prefix } }
  }
  return {
    register: async (instance) => {
      checkOptions('registry.register', instance, NEW_INSTANCE)
      checkValue('registry.register', 'url', instance.url, isText)
      const registration = new OwnRegistration(kv, space, instance)
      await registration.begin(instance.signal)
      return registration
    },
    list: async (options = {}) => {
      checkOptions('registry.list', options, { signal: isSignal })
      return (await read(options.signal)).value
    },
    resolver: (options = {}) => {
      checkResolver(options)
      return startResolver(kv, space.prefix, (records) => instancesIn(space, records), options)
    },
    watch: (options = {}) => {
      checkOptions('registry.watch', options, { signal: isSignal })
      const { signal } = options
      return readOnChange(kv, () => read(signal), signal)
    },
  }
}

/** The instances among records. Other keys are reported. */
const instancesIn = ({ suffix }: KeySpace, records: readonly KvRecord[]): readonly Instance[] =>
  records.flatMap((record) => {
    const { url, weight, meta } = record.lease === undefined ? {} : jsonOf(record)
    if (typeof url !== 'string') {
      reportForeignKey('registry', record.key)
      return []
    }
    return {
      id: unescapePart(suffix(record.keyBytes)),
      url,
      weight: isWeight(weight) === undefined ? Number(weight) : 1,
      meta: isObject(meta) === undefined ? (meta as Instance['meta']) : {},
    }
  })

function jsonOf(record: KvRecord): Partial<Record<string, unknown>> {
  try {
    return Object(record.json())
  } catch {
    return {}
  }
}

const NEW_INSTANCE = {
  ...{ id: isText, url: isText, weight: isWeight, meta: isObject },
  ...{ ttlMs: isLeaseTime, onProblem: isFunction, signal: isSignal },
}
