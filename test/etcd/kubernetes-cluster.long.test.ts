// A control plane of Kubernetes on three nodes of quorate, which are killed again and again under load: two API
// servers, a controller manager and a scheduler. At the end, the keys of quorate are what the API servers have
// acknowledged, and what they list. Each watch had each event once, and the controllers have done what was wanted last.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { Client } from '../../src/client/index.ts'
import { eventually, settled, Workspace } from '../local/kv.ts'
import type { Api, KubeEvent, KubeObject } from './kubernetes/api.ts'
import { ControlPlane } from './kubernetes/control-plane.ts'
import { APPS, addDeployments, addressesOf, beKubelet, rollOut } from './kubernetes/deployments.ts'
import { Ledger } from './kubernetes/ledger.ts'
import {
  addNamespace,
  addNodes,
  bindPods,
  CHANGED,
  CONFIGURATIONS,
  changeConfigurations,
  LOAD,
  PODS,
} from './kubernetes/load.ts'

const OBJECTS = Number(process.env.QUORATE_KUBERNETES_OBJECTS ?? 5_000)
const CHANGING = 10
const DEPLOYED = 6
const NODES = 3
const HOURS = 3 * 3_600_000
const WRITES_BETWEEN_KILLS = 300
const WAIT_MS_MAX = 900_000
const PREFIX = '/registry/'
/** The collections whose objects are compared, of all namespaces. */
const COMPARED = [
  '/api/v1/pods',
  '/api/v1/configmaps',
  '/api/v1/services',
  '/api/v1/nodes',
  '/apis/apps/v1/deployments',
  '/apis/apps/v1/replicasets',
  '/apis/discovery.k8s.io/v1/endpointslices',
]

test.each([{ tls: false }, { tls: true }])(
  'a control plane loses and invents nothing while nodes of quorate are killed, with TLS: $tls',
  { timeout: HOURS },
  async ({ tls }) => {
    const space = await Workspace.open()
    const started = await space.start(...(tls ? ['--tls'] : []))
    const urls = started.nodes.map(({ url }) => url)
    const file = (name: string): string => space.path('certs', name)
    const tlsFiles = tls ? { ca: file('ca.crt'), cert: file('root.crt'), key: file('root.key') } : undefined
    const store = new Client({
      ...{ endpoints: urls, timeoutMs: 60_000 },
      ...(tlsFiles !== undefined && {
        tls: {
          ca: readFileSync(tlsFiles.ca),
          cert: readFileSync(tlsFiles.cert),
          key: readFileSync(tlsFiles.key),
        },
      }),
    })
    const ending = new AbortController()
    const { signal } = ending
    const history = await followStore(store, signal)

    const plane = await ControlPlane.open({ urls, tls: tlsFiles })
    const apis = [await plane.startApiServer(), await plane.startApiServer()] as const
    const [api, other] = apis
    plane.startControllers(api)
    const ledger = new Ledger(apis)
    await addNodes(ledger)
    for (const name of [LOAD, APPS]) await addNamespace(ledger, api, name)
    await addDeployments(ledger, DEPLOYED)

    const collections = [PODS, CONFIGURATIONS]
    const opened = apis.flatMap((at) =>
      collections.map(async (path) => ({
        ...{ api: at, path, events: [] as KubeEvent[] },
        from: (await at.list(path)).revision,
      })),
    )
    const seen = await Promise.all(opened)
    const watches = seen.map(({ api: at, path, events, from }) =>
      at.watch(path, from, signal, (event) => {
        if (event.type !== 'BOOKMARK') events.push(event)
      }),
    )
    const kubelet = beKubelet(ledger, other, signal)
    const working = new AbortController()
    const kills = killNodes(space, ledger, working.signal)
    const changes = changeConfigurations(ledger, CHANGING, working.signal)
    const rollouts = rollOut(ledger, DEPLOYED, working.signal)
    const began = performance.now()
    await bindPods(ledger, OBJECTS)
    const seconds = Math.round((performance.now() - began) / 1_000)
    working.abort()
    await changes
    const rounds = await rollouts
    const killed = await kills
    await settled(space, NODES, WAIT_MS_MAX)

    const { published, ready } = await addressesAtRest(api)
    const { keys, lists } = await readAtRest(store, apis)
    const { revision } = await store.status()
    await eventually(() => history.reached >= revision, 200, WAIT_MS_MAX)
    const expected = ({ path, from }: (typeof seen)[number]): readonly number[] =>
      history.revisionsIn(path).filter((at) => at > Number(from))
    for (const each of seen)
      await eventually(() => each.events.length >= expected(each).length, 200).catch(() => {})
    ending.abort()
    await Promise.all([...watches, kubelet])

    const failures: Record<string, readonly unknown[]> = {
      // Stored, and not listed as it is, or listed, and not stored so.
      lists: lists.flatMap((list) => difference(list, keys)),
      // In the history, and no longer in the store as it was written last.
      changed: difference(history.rows(COMPARED), keys),
      // Acknowledged, and not in the history under its resource version.
      unwritten: [...ledger.objects].flatMap(([path, { revisions }]) =>
        [...revisions].filter((at) => history.keyAt(at) !== keyOf(path)).map((at) => [path, at]),
      ),
      // Written more often than was acknowledged or left open.
      repeated: [...ledger.objects]
        .filter(([path]) => path.includes(`/${CHANGED}`))
        .filter(([path, { revisions, deletes, unknown }]) => {
          const acknowledged = revisions.size + deletes
          const written = history.revisionsOf(path).length
          return written < acknowledged || written > acknowledged + unknown
        }),
      // Other events of a watch than those of the history, or in another order.
      watches: seen.filter(
        (each) =>
          String(each.events.map(({ object }) => Number(object.metadata.resourceVersion))) !==
          String(expected(each)),
      ),
      // Pods that are ready, and are not in the slices of their service, or the other way round.
      addresses: difference(published, ready),
    }
    console.log(
      `TLS ${tls}: ${ledger.acknowledged} writes acknowledged, ${ledger.unknown} with an unknown outcome, ` +
        `in ${seconds} s; killed: ${killed.leaders} leaders, ${killed.followers} followers; ` +
        `${rounds} rollouts, ${ready.length} pods of deployments; ${keys.length} objects compared, ` +
        `${history.size} changes, ${seen.map(({ events }) => events.length).join()} events of watches`,
    )
    for (const [kind, found] of Object.entries(failures)) failures[kind] = found.slice(0, 5)
    const nothing = Object.fromEntries(Object.keys(failures).map((kind) => [kind, []]))
    expect(failures).toEqual(nothing)
  },
)

/** Kills a node, most often the leader, and starts it again, each time that the cluster has written for a while. */
async function killNodes(space: Workspace, ledger: Ledger, signal: AbortSignal) {
  const killed = { leaders: 0, followers: 0 }
  const further = async (): Promise<void> => {
    const from = ledger.acknowledged
    await eventually(
      () => signal.aborted || ledger.acknowledged > from + WRITES_BETWEEN_KILLS,
      50,
      WAIT_MS_MAX,
    )
  }
  for (let round = 0; ; round++) {
    await further()
    if (signal.aborted) return killed
    const { leader, nodes } = await settled(space, NODES, WAIT_MS_MAX)
    const isLeader = round % 3 !== 2
    const node = nodes.find(({ name }) => (name === leader) === isLeader)?.name ?? ''
    await space.execute({ command: 'kill', node })
    killed[isLeader ? 'leaders' : 'followers']++
    await further()
    await space.execute({ command: 'restart', node })
  }
}

/** All changes of the API servers' keys, as a watch on quorate has them. */
class History {
  /** A transaction of an API server changes one key. */
  readonly #keys = new Map<number, string>()
  /** The last revision of each key; undefined: it is deleted. */
  readonly #last = new Map<string, number | undefined>()
  reached = 0

  get size(): number {
    return this.#keys.size
  }

  add(key: string, revision: number, isDeleted: boolean): void {
    this.#keys.set(revision, key)
    this.#last.set(key, isDeleted ? undefined : revision)
  }

  keyAt(revision: number): string | undefined {
    return this.#keys.get(revision)
  }

  /** The changes of an object, in order. */
  revisionsOf(path: string): readonly number[] {
    return [...this.#keys].filter(([, key]) => key === keyOf(path)).map(([revision]) => revision)
  }

  /** The changes of a collection, in order. */
  revisionsIn(path: string): readonly number[] {
    return [...this.#keys].filter(([, key]) => isIn(key, path)).map(([revision]) => revision)
  }

  /** The objects of collections as they are now. */
  rows(collections: readonly string[]): readonly string[] {
    return [...this.#last]
      .flatMap(([key, revision]) => (revision === undefined ? [] : [{ key, revision }]))
      .filter(({ key }) => collections.some((path) => isIn(key, path)))
      .map(({ key, revision }) => rowOf(key, revision))
      .sort()
  }
}

async function followStore(store: Client, signal: AbortSignal): Promise<History> {
  const history = new History()
  const { revision } = await store.status()
  const watch = store.watch({
    ...{ prefix: PREFIX, fromRevision: revision + 1, keysOnly: true, progressMs: 1_000, signal },
    onProgress: (reached) => {
      history.reached = reached
    },
  })
  void (async () => {
    for await (const { revision: at, events } of watch)
      for (const { key, type } of events) history.add(key, at, type === 'delete')
  })().catch(() => {})
  return history
}

/** The compared objects as quorate has them, and as each API server lists them, while nobody changes them. */
async function readAtRest(store: Client, apis: readonly Api[]) {
  const read = async (): Promise<readonly string[]> => {
    const rows: string[] = []
    for await (const { key, modRevision } of store.list({ prefix: PREFIX, keysOnly: true }))
      if (COMPARED.some((path) => isIn(key, path))) rows.push(rowOf(key, modRevision))
    return rows.sort()
  }
  const list = async (api: Api): Promise<readonly string[]> => {
    const rows: string[] = []
    for (const path of COMPARED)
      for (const { metadata } of (await api.list(path)).items)
        rows.push(rowOf(keyOf(path, metadata), Number(metadata.resourceVersion)))
    return rows.sort()
  }
  return eventually(
    async () => {
      const keys = await read()
      const lists = await Promise.all(apis.map(list))
      return difference(keys, await read()).length === 0 && { keys, lists }
    },
    1_000,
    WAIT_MS_MAX,
  )
}

/** The addresses of services and pods when they are the same, or at the latest after a minute. */
async function addressesAtRest(api: Api): ReturnType<typeof addressesOf> {
  let now = await addressesOf(api)
  const areSame = async (): Promise<boolean> => {
    now = await addressesOf(api)
    return difference(now.published, now.ready).length === 0
  }
  await eventually(areSame, 500).catch(() => {})
  return now
}

const rowOf = (key: string, revision: number): string => `${key},${revision}`

/** The elements that only one of them has. */
function difference(some: readonly string[], others: readonly string[]): readonly string[] {
  const [left, right] = [new Set(some), new Set(others)]
  return [...some.filter((each) => !right.has(each)), ...others.filter((each) => !left.has(each))]
}

/** Names of collections in the store, where they are not those of the API. */
const STORED: Readonly<Record<string, string>> = { nodes: 'minions', services: 'services/specs' }

/** The key of the object at a path, or of one of the collection at it. */
function keyOf(path: string, { namespace, name }: Partial<KubeObject['metadata']> = {}): string {
  const parts = path.split('/').slice(path.startsWith('/api/') ? 3 : 4)
  const isInNamespace = parts[0] === 'namespaces' && parts.length > 2
  const [resource = '', inPath] = isInNamespace ? parts.slice(2) : parts
  const of = [namespace ?? (isInNamespace ? parts[1] : undefined), name ?? inPath]
  return ['/registry', STORED[resource] ?? resource, ...of].filter((part) => part !== undefined).join('/')
}

/** Whether a key is one of the collection. */
const isIn = (key: string, collection: string): boolean => key.startsWith(`${keyOf(collection)}/`)
