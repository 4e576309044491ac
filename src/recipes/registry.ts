// A service registry: which instances of a service run, and where.
//
// Promise: an instance is listed from the moment when `register` returns until it is closed, or until its process has
// been silent for `ttlMs`. If another process registers its id, that one is listed, and this one learns it. If its
// lease or its key is lost although the process lives, the instance registers again by itself, with the fields of its
// last successful update. `list` is linearizable. `resolver` and `watch` follow the store within milliseconds.
//
// Limits: a live process may still not serve: see `failed` of the resolver. An update that fails with `written:
// 'unknown'` may be listed until the next update or registration, which writes what the updates before have made:
// repeat it. Of two processes with one id, the one that has registered last is listed, and then the other one again. A
// service has at most 10,000 instances with 4 MiB of metadata (`range_keys_max`, `range_bytes_max`), and each change
// makes every resolver read them again: this is for some hundred.
//
// Key: service/SERVICE/ID     {"url","weight","meta"}, with the lease of the process
//
// Invariant: every write compares the key's mod revision, so a write that arrives late undoes no later one. A key
// without a lease, or with other content, is no instance: it is left out and reported.

import type { CallOptions, KvRecord } from '../client/index.ts'
import { checkOptions, checkValue, functionCheck, objectCheck, textCheck } from '../client/validators.ts'
import { reportForeignKey } from './foreign-keys.ts'
import { type KeySpace, keySpace, unescapePart } from './key-space.ts'
import { CALL_OPTIONS, leaseTimeCheck } from './option-checks.ts'
import {
  type Instance,
  type NewInstance,
  OwnRegistration,
  type Registration,
  type RegistryClient,
  weightCheck,
} from './registration.ts'
import { checkResolver, type Resolver, type ResolverOptions, startResolver } from './resolver.ts'
import { readOnChange } from './watch-helpers.ts'

export interface Registry {
  register(instance: NewInstance): Promise<Registration>
  list(options?: CallOptions): Promise<readonly Instance[]>
  /** Keeps the instances in memory until it is closed. */
  resolver(options?: ResolverOptions): Resolver
  /** Yields the current instances, and again after each change. `timeoutMs` limits its first call. */
  watch(options?: CallOptions): AsyncGenerator<readonly Instance[], void, undefined>
}

export function registry(kv: RegistryClient, service: string | Uint8Array): Registry {
  const space = keySpace('registry', 'service', service)
  const read = async (call: CallOptions) => {
    const { results, revision } = await kv.txn({ success: [{ get: { prefix: space.prefix } }] }, call)
    const records = results[0]?.get?.kvs ?? []
    const version = JSON.stringify(records.map(({ key, modRevision }) => [key, modRevision]))
    return { value: parseInstances(space, records), version, revision, watch: { prefix: space.prefix } }
  }
  return {
    register: async (instance) => {
      checkOptions('registry.register', instance, NEW_INSTANCE)
      checkValue('registry.register', 'url', instance.url, textCheck)
      return OwnRegistration.begin(kv, space, { ...instance })
    },
    list: async (options = {}) => {
      checkOptions('registry.list', options, CALL_OPTIONS)
      return (await read(options)).value
    },
    resolver: (options = {}) => {
      checkResolver(options)
      return startResolver(kv, space.prefix, (records) => parseInstances(space, records), options)
    },
    watch: (options = {}) => {
      checkOptions('registry.watch', options, CALL_OPTIONS)
      const call = { ...options }
      return readOnChange(kv, () => read(call), call.signal)
    },
  }
}

/** The instances among records. Other keys are reported. */
const parseInstances = ({ suffix }: KeySpace, records: readonly KvRecord[]): readonly Instance[] =>
  records.flatMap((record) => {
    const { url, weight, meta } = record.lease === undefined ? {} : parseFields(record)
    if (typeof url !== 'string') {
      reportForeignKey('registry', record.key)
      return []
    }
    return {
      id: unescapePart(suffix(record.keyBytes)),
      url,
      weight: weightCheck(weight) === undefined ? Number(weight) : 1,
      meta: objectCheck(meta) === undefined ? (meta as Instance['meta']) : {},
    }
  })

function parseFields(record: KvRecord): Partial<Record<string, unknown>> {
  try {
    return Object(record.json())
  } catch {
    return {}
  }
}

const NEW_INSTANCE = {
  id: textCheck,
  url: textCheck,
  weight: weightCheck,
  meta: objectCheck,
  ...CALL_OPTIONS,
  ttlMs: leaseTimeCheck,
  onProblem: functionCheck,
}
